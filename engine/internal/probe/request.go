package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"lkhub/engine/internal/message"
)

const (
	// maxTimeout limits a path: a slow network needs seconds, and with a mistyped unit the probe would wait for hours.
	maxTimeout = 2 * time.Minute
	// maxRequest is far above two tokens for each path.
	maxRequest = 1 << 20
)

// Request is what to probe. Times are milliseconds.
type Request struct {
	Version   int           `json:"version"` // 0 if it was not given, as in a request typed by hand
	URL       string        `json:"url"`
	TimeoutMS int           `json:"timeout_ms"` // of each path, joining and media together
	MediaMS   int           `json:"media_ms"`   // how long to measure loss after the first packet
	Paths     []PathRequest `json:"paths"`

	// Resolve has resolve overrides: for hosts of the signalling and of TURN servers, and for addresses of candidates,
	// the address to use on this machine. TLS still checks the server's name.
	Resolve map[string]string `json:"resolve"`
	// CAFile has authorities in PEM that are trusted in addition to this machine's.
	CAFile string `json:"ca_file"`

	target *url.URL
	access access
}

// PathRequest is one path, with the tokens of its own publisher and its own subscriber. Without a subscriber only the
// connection is proved. A failed path may make the server prefer another path for the same room and identity, so every
// probe should use new tokens.
type PathRequest struct {
	Path   string   `json:"path"`
	Tokens []string `json:"tokens"`

	route route
}

// ReadRequest reads a request and reports all its faults at once. Errors never contain tokens.
func ReadRequest(r io.Reader) (*Request, error) {
	decoder := json.NewDecoder(io.LimitReader(r, maxRequest))
	decoder.DisallowUnknownFields()
	request := &Request{}
	if err := decoder.Decode(request); err != nil {
		return nil, fmt.Errorf("the request is no JSON object as probe reads it: %w", err)
	}
	return request, request.check()
}

func (r *Request) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if r.Version != 0 {
		if err := message.Check(r.Version); err != nil {
			faults = append(faults, err)
		}
	}
	target, err := url.Parse(strings.TrimRight(r.URL, "/"))
	switch {
	case err != nil:
		fault("url: %v", err)
	case target.Hostname() == "" || !knownSchemes[target.Scheme]:
		fault("url: %q is no ws://, wss://, http:// or https:// address", r.URL)
	case target.User != nil || target.RawQuery != "" || target.Fragment != "":
		fault("url: user, query and fragment have no place in a LiveKit address")
	}
	r.target = target
	var wrong []error
	r.access, wrong = newAccess(r.Resolve, r.CAFile)
	faults = append(faults, wrong...)
	if timeout := r.timeout(); timeout <= 0 || timeout > maxTimeout {
		fault("timeout_ms: %d is not between 1 and %d", r.TimeoutMS, maxTimeout.Milliseconds())
	}
	if r.MediaMS < 0 || r.MediaMS >= r.TimeoutMS {
		fault("media_ms: %d is not between 0 and timeout_ms", r.MediaMS)
	}
	if len(r.Paths) == 0 {
		fault("paths: none given; known are %s", knownPaths())
	}
	seen := map[string]bool{}
	for i := range r.Paths {
		path := &r.Paths[i]
		known := false
		if path.route, known = routes[path.Path]; !known {
			fault("paths[%d].path: %q is unknown; known are %s", i, path.Path, knownPaths())
		} else if seen[path.Path] {
			fault("paths[%d].path: %q is given twice", i, path.Path)
		}
		seen[path.Path] = true
		if n := len(path.Tokens); n != 1 && n != 2 {
			fault("paths[%d].tokens: %d given; one publishes, a second one subscribes", i, n)
		}
		if len(path.Tokens) == 2 && path.Tokens[0] == path.Tokens[1] {
			fault("paths[%d].tokens: both are the same; a second join under one identity removes the first", i)
		}
	}
	return errors.Join(faults...)
}

func (r *Request) timeout() time.Duration { return time.Duration(r.TimeoutMS) * time.Millisecond }
func (r *Request) media() time.Duration   { return time.Duration(r.MediaMS) * time.Millisecond }
