// Package process runs one server in this process, from its start through a drain to its end, and answers for it on the
// control socket.
package process

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"lkhub/engine/internal/failure"
)

// Engine is one server inside this process: the SFU, the relay or the edge.
type Engine interface {
	// Run starts the server and serves until Stop; it calls ready, once, when clients are accepted.
	Run(ready func()) error
	// Busy says whether Stop would cut anyone off.
	Busy() bool
	// Drain lets no new client in where the server can refuse them; who is there stays.
	Drain()
	// Stop makes Run return now, also while it is still starting. It may block until then.
	Stop()
	// Status gives what GET /status tells beyond state and pid, from the first moment on.
	Status(ctx context.Context) (map[string]any, error)
}

type state string

const (
	starting state = "starting"
	Running  state = "running"
	draining state = "draining"
)

// emptyPoll is how often a draining engine is asked whether it is empty: cheap, and short beside a restart.
const emptyPoll = 100 * time.Millisecond

// process carries an engine from start to stop and answers for it on the control socket.
type process struct {
	engine Engine
	ready  chan struct{}      // closed once clients are accepted
	limits chan time.Duration // POST /drain: the newest limit that is not taken yet

	mu    sync.Mutex
	state state
}

// Serve runs an engine until it fails, or until a signal or POST /drain has drained it. limit is how long that may take
// where POST /drain does not say it. A second signal ends the drain, and one more does not wait for an orderly stop
// either. inherited listens at controlPath; where it is nil the socket is bound here.
func Serve(e Engine, controlPath string, inherited net.Listener, limit time.Duration, signals <-chan os.Signal) error {
	p := &process{engine: e, ready: make(chan struct{}), limits: make(chan time.Duration, 1), state: starting}
	// Bound before the engine starts, so that whoever waits for it has something to wait on.
	control := inherited
	if control == nil {
		var err error
		if control, err = listenControl(controlPath); err != nil {
			return err
		}
	}
	over, closed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(closed)
		p.keepControl(controlPath, control, over)
	}()
	defer func() {
		close(over)
		<-closed
	}()

	ended := make(chan error, 1)
	go func() { ended <- runGuarded(e, p.markReady) }()
	select {
	case err := <-ended:
		return unasked(err)
	case <-signals:
	case limit = <-p.limits:
	}
	p.setState(draining)
	e.Drain()
	p.waitWhileBusy(limit, signals)
	go e.Stop()
	select {
	case err := <-ended:
		return err
	case <-signals:
		return nil
	}
}

// waitWhileBusy returns when the engine is empty, when the limit has passed, or at a signal. A limit that is told
// meanwhile counts from then on.
func (p *process) waitWhileBusy(limit time.Duration, signals <-chan os.Signal) {
	deadline := time.After(limit)
	poll := time.NewTicker(emptyPoll)
	defer poll.Stop()
	for p.engine.Busy() {
		select {
		case <-poll.C:
		case limit := <-p.limits:
			deadline = time.After(limit)
		case <-deadline:
			return
		case <-signals:
			return
		}
	}
}

// drain begins a stop that waits for clients for as long as limit, or changes the limit of one that goes on.
func (p *process) drain(limit time.Duration) {
	for {
		select {
		case p.limits <- limit:
			return
		default:
		}
		select {
		case <-p.limits: // an older one
		default:
		}
	}
}

func (p *process) markReady() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == starting {
		p.state = Running
	}
	close(p.ready)
}

func (p *process) setState(s state) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
}

func (p *process) getState() state {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// runGuarded makes a panic in Run a failure with its own exit code. A panic in a goroutine that upstream started
// can't be caught here: Go then ends the process with a stack trace and exit code 2.
func runGuarded(e Engine, ready func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", r, debug.Stack())
			err = failure.Bug(r)
		}
	}()
	return e.Run(ready)
}

// unasked is the error of an engine that ended though nobody stopped it.
func unasked(err error) error {
	if err == nil {
		return failure.New(failure.ExitNotWell, "stopped", "the server stopped by itself; its log says why")
	}
	return err
}
