package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"time"
)

const (
	// askLimit is what tailscaled may take: a new certificate takes it an ACME order, up to a minute. Shorter limits would
	// cancel the order, which ends with the request, and begin it anew for ever.
	askLimit = 2 * time.Minute
	// askAgain is how old an answer may be; tailscaled gives what it has, and renews it in time.
	askAgain = time.Minute
	// askFailed is when it is asked again that gave none: what is amiss is being mended by whoever looks at the status.
	askFailed = 5 * time.Second
)

// managed are names whose certificate comes from elsewhere at every handshake. A nil one has none.
type managed struct {
	names  []string
	askers map[string]*asker // by name
}

// asker asks for one name's certificate again and again, and outlives configurations that have the name: a request that
// is broken off ends an order that is under way.
type asker struct {
	name   string
	cancel context.CancelFunc
	again  chan struct{} // ask without waiting

	mu     sync.Mutex
	asking bool
	last   answer
}

// answer is a certificate or a failure, or neither yet.
type answer struct {
	found  *Certificate
	failed *Failure
}

// takeOver asks for each name now, and stops asking for those of before that are no more. What was known is asked anew;
// a request that is under way goes on.
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

func (a *asker) get() answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

func (a *asker) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := askAgain
		a.begin()
		given, err := askInTime(ctx, a.name)
		if ctx.Err() != nil {
			return
		}
		var last answer
		if err != nil {
			wait = askFailed
			last.failed = &Failure{
				Name: a.name, Issuer: kindTailscale, Kind: kindOfTailscale(err), Error: err.Error(), At: time.Now().UTC(),
			}
		} else {
			described := describe(given)
			last.found = &described
		}
		a.end(last)
		select {
		case <-ctx.Done():
		case <-a.again:
		case <-time.After(wait):
		}
	}
}

func askInTime(ctx context.Context, name string) (*tls.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	certificate, err := askTailscaled(ctx, name)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &tailscaleError{kindTailscaleSlow, "tailscaled did not answer within " + askLimit.String()}
	}
	return certificate, err
}

// answered reports whether something is known of every name.
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

// report adds what is known.
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
