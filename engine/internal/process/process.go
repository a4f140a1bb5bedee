// Package process runs one server in this process, from its start through a drain to its end, and answers for the
// server on the control socket.
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
	// Run starts the server and serves until Stop. It calls ready once, when clients are accepted.
	Run(ready func()) error
	// Busy says whether Stop would end any client's connection.
	Busy() bool
	// Drain refuses new clients if the server can do so. Connected clients stay.
	Drain()
	// Stop makes Run return now, even while the server is starting. It may block until Run has returned.
	Stop()
	// Status is what GET /status tells besides state and pid. It is called from the start on.
	Status(ctx context.Context) (map[string]any, error)
}

type state string

const (
	starting state = "starting"
	Running  state = "running"
	draining state = "draining"
)

// emptyPoll is how often a draining engine is asked whether it is empty. This is cheap, and short beside a restart.
const emptyPoll = 100 * time.Millisecond

// process takes an engine from start to stop, and answers for it on the control socket.
type process struct {
	engine Engine
	ready  chan struct{}      // closed once clients are accepted
	limits chan time.Duration // POST /drain: the newest limit that is not applied yet

	mu    sync.Mutex
	state state
}

// Serve runs an engine until it fails, or until a signal or POST /drain has drained it. limit is how long a drain may
// take if POST /drain names no limit. A second signal ends the drain, and a third one ends the process without an
// orderly stop. inherited listens at controlPath; if it is nil, Serve binds the socket.
func Serve(e Engine, controlPath string, inherited net.Listener, limit time.Duration, signals <-chan os.Signal) error {
	p := &process{engine: e, ready: make(chan struct{}), limits: make(chan time.Duration, 1), state: starting}
	// The socket is bound before the engine starts, so that a command that waits for the engine can connect to it.
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

// waitWhileBusy returns when the engine is empty, when the limit has passed, or at a signal. A new limit counts from
// the moment at which it arrives.
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

// drain begins a stop that waits up to limit for clients, or changes the limit of a drain that goes on.
func (p *process) drain(limit time.Duration) {
	for {
		select {
		case p.limits <- limit:
			return
		default:
		}
		select {
		case <-p.limits: // an older limit
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

// runGuarded turns a panic in Run into a failure with its own exit code. A panic in a goroutine that upstream started
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

// unasked is the error of an engine that ended although it was not stopped.
func unasked(err error) error {
	if err == nil {
		return failure.New(failure.ExitNotWell, "stopped", "the server stopped by itself; its log says why")
	}
	return err
}
