package edge

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// askLimit is how long tailscaled may take. When a request ends, so does the ACME order behind it, which would then
	// start again and again. If the daemon ends, the request fails at once.
	askLimit = 15 * time.Minute
	// askAgain is how old an answer may be. tailscaled answers with the certificate that it has, and renews it in time.
	askAgain = time.Minute
	// askFailed is when a source without a certificate is asked again: the person that looks at the status may be
	// mending it.
	askFailed = 5 * time.Second
)

// askSlow is after which time the status says that there is no answer yet. An order takes up to a minute. tailscaled
// 1.83 does not answer while Let's Encrypt refuses for a while (429, 5xx), but goes on trying.
var askSlow = 2 * time.Minute

// managed are names whose certificate comes from elsewhere at every handshake. A nil managed has no names.
type managed struct {
	names  []string
	askers map[string]*asker // by name
}

// asker asks for one name's certificate again and again. It goes on under new configurations that have the name,
// because to break off a request would end an order that is under way.
type asker struct {
	name   string
	cancel context.CancelFunc
	again  chan struct{} // ask without waiting

	mu     sync.Mutex
	asking bool
	last   answer
}

// answer is a certificate, a failure, or neither yet.
type answer struct {
	found  *Certificate
	failed *Failure
}

// takeOver asks for each name now, and stops asking for names of `before` that are gone. Known names are asked for
// again, and a request that is under way goes on.
func takeOver(before *managed, names []string) *managed {
	m := &managed{names: names, askers: map[string]*asker{}}
	for _, name := range names {
		if before != nil && before.askers[name] != nil {
			m.askers[name] = before.askers[name]
			m.askers[name].renew()
		} else if m.askers[name] == nil {
			m.askers[name] = startAsking(name)
		}
	}
	before.stopAllBut(m)
	return m
}

func (m *managed) stopAllBut(kept *managed) {
	if m == nil {
		return
	}
	for name, a := range m.askers {
		if kept.askers[name] != a {
			a.cancel()
		}
	}
}

func startAsking(name string) *asker {
	ctx, cancel := context.WithCancel(context.Background())
	a := &asker{name: name, cancel: cancel, again: make(chan struct{}, 1)}
	go a.run(ctx)
	return a
}

func (a *asker) renew() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = answer{}
	if a.asking {
		return
	}
	select {
	case a.again <- struct{}{}:
	default:
	}
}

func (a *asker) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asking = true
}

func (a *asker) end(last answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asking, a.last = false, last
}

// tell sets what is known while the request goes on.
func (a *asker) tell(known answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = known
}

func (a *asker) get() answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

func (a *asker) run(ctx context.Context) {
	for ctx.Err() == nil {
		a.begin()
		done := make(chan answer, 1)
		go func() { done <- askInTime(ctx, a.name) }()
		var last answer
		select {
		case last = <-done:
		case <-time.After(askSlow):
			a.tell(failed(a.name, &tailscaleError{kindTailscaleSlow, "tailscaled has not answered for " + askSlow.String()}))
			last = <-done
		}
		if ctx.Err() != nil {
			return
		}
		wait := askAgain
		if last.failed != nil {
			wait = askFailed
		}
		a.end(last)
		select {
		case <-ctx.Done():
		case <-a.again:
		case <-time.After(wait):
		}
	}
}

func failed(name string, err error) answer {
	return answer{failed: &Failure{
		Name: name, Issuer: kindTailscale, Kind: kindOfTailscale(err), Error: err.Error(), At: time.Now().UTC(),
	}}
}

func askInTime(ctx context.Context, name string) answer {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	given, err := askTailscaled(ctx, name)
	if errors.Is(err, context.DeadlineExceeded) {
		err = &tailscaleError{kindTailscaleSlow, "tailscaled did not answer within " + askLimit.String()}
	}
	if err != nil {
		return failed(name, err)
	}
	described := describe(given)
	return answer{found: &described}
}

// answered reports whether every name has an answer.
func (m *managed) answered() bool {
	if m == nil {
		return true
	}
	for _, a := range m.askers {
		if a.get() == (answer{}) {
			return false
		}
	}
	return true
}

// report adds what is known to a status.
func (m *managed) report(status *Status) {
	if m == nil {
		return
	}
	for _, name := range m.names {
		switch last := m.askers[name].get(); {
		case last.found != nil:
			status.Certificates = append(status.Certificates, *last.found)
		case last.failed != nil:
			status.Failures = append(status.Failures, *last.failed)
		default:
			status.Pending = append(status.Pending, name)
		}
	}
}
