// Package probe proves that LiveKit media flows over one kind of ICE path: its two participants make a call that can
// use no other path.
package probe

import (
	"context"
	"sync"
)

// Run probes all paths at once and calls emit, never twice at a time, with each result when it is known.
func Run(ctx context.Context, request *Request, emit func(Result)) {
	results := make(chan Result)
	var paths sync.WaitGroup
	for _, path := range request.Paths {
		paths.Go(func() { results <- runPath(ctx, request, path) })
	}
	go func() {
		paths.Wait()
		close(results)
	}()
	for result := range results {
		emit(result)
	}
}

// runPath takes one path through all stages. When it returns, its participants have left.
func runPath(parent context.Context, request *Request, path PathRequest) Result {
	ctx, cancel := context.WithTimeout(parent, request.timeout())
	defer cancel()
	result := Result{Path: path.Path, Evidence: map[string]string{}}
	c := &call{route: path.route, access: request.access, tokens: path.Tokens, media: request.media(), result: &result}
	defer c.leave()
	f := c.run(ctx, request.target)
	if f != nil && parent.Err() != nil {
		f = failed(f.stage, Interrupted, "interrupted").asUntried(true)
	}
	if f != nil {
		result.stop(f)
	}
	return result
}
