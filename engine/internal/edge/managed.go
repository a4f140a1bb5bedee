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

// managed are names whose certificate comes from elsewhere at every handshake, with the last answers of who was asked.
// A nil one has none.
type managed struct {
	cancel context.CancelFunc

	mu      sync.Mutex
	names   []string
	answers map[string]answer
}

// answer is a certificate or a failure.
type answer struct {
	found  *Certificate
	failed *Failure
}

// askManaged asks for each name now, and again and again until it is stopped.
func askManaged(names []string) *managed {
	ctx, cancel := context.WithCancel(context.Background())
	m := &managed{cancel: cancel, names: names, answers: map[string]answer{}}
	for _, name := range names {
		go m.keepAsking(ctx, name)
	}
	return m
}

func (m *managed) stop() {
	if m != nil {
		m.cancel()
	}
}

func (m *managed) keepAsking(ctx context.Context, name string) {
	for ctx.Err() == nil {
		wait := askAgain
		given, err := askInTime(ctx, name)
		if ctx.Err() != nil {
			return
		}
		var last answer
		if err != nil {
			wait = askFailed
			last.failed = &Failure{
				Name: name, Issuer: kindTailscale, Kind: kindOfTailscale(err), Error: err.Error(), At: time.Now().UTC(),
			}
		} else {
			described := describe(given)
			last.found = &described
		}
		m.mu.Lock()
		m.answers[name] = last
		m.mu.Unlock()
		select {
		case <-ctx.Done():
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
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.answers) == len(m.names)
}

// report adds what is known.
func (m *managed) report(status *Status) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range m.names {
		switch last := m.answers[name]; {
		case last.found != nil:
			status.Certificates = append(status.Certificates, *last.found)
		case last.failed != nil:
			status.Failures = append(status.Failures, *last.failed)
		default:
			status.Pending = append(status.Pending, name)
		}
	}
}
