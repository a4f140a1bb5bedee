package edge

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
)

// Status is what is known of the edge at a moment.
type Status struct {
	LoadedAt     time.Time     `json:"loaded_at"` // when the configuration that runs was loaded
	Certificates []Certificate `json:"certificates"`
	Failures     []Failure     `json:"failures"`
	Pending      []string      `json:"pending"` // names for which neither is there yet
	Connections  Connections   `json:"connections"`
}

// Connections counts clients' connections since the start.
type Connections struct {
	Open    int64 `json:"open"`
	Waiting int   `json:"waiting"` // of those, not known yet for a client: TLS not ended, or nothing said after it
	Refused int64 `json:"refused"` // by a limit, over all the time
}

// running is the configuration that Caddy runs.
var running struct {
	sync.Mutex
	loadedAt time.Time
	names    []string // that its cache may hold a certificate for
	managed  managed
}

// Load makes Caddy run a configuration, also the one that it runs already: files that it names may have changed.
// After an error the one before is still running. A port that can't be bound is an error that tells its errno.
func Load(config []byte) error {
	began := time.Now().UTC()
	wanted, err := parseServed(config)
	if err != nil {
		return err
	}
	if err := wanted.confine(); err != nil {
		return err
	}
	if err := load(config); err != nil {
		return err
	}
	failures.forget(began)
	running.Lock()
	defer running.Unlock()
	running.loadedAt, running.names = began, wanted.names()
	running.managed = managed{names: wanted.managed()}
	return nil
}

// load adds the errno to Caddy's error, which is text alone.
func load(config []byte) error {
	sockets.Lock()
	sockets.err = nil
	sockets.Unlock()
	err := caddy.Load(config, true)
	sockets.Lock()
	defer sockets.Unlock()
	if err != nil && sockets.err != nil && strings.Contains(err.Error(), sockets.err.Error()) {
		return sockets.err
	}
	return err
}

// Stop ends listeners and gives up the locks of the storage. Connections end with the process.
func Stop() error {
	err := caddy.Stop()
	certmagic.CleanUpOwnLocks(context.Background(), caddy.Log())
	return err
}

// settlePoll is how often AwaitCertificates looks; the CA of the hub's own issues in a few milliseconds.
const settlePoll = 5 * time.Millisecond

// AwaitCertificates returns when each name has a certificate or has failed to get one, or when ctx ends.
func AwaitCertificates(ctx context.Context) {
	for !settled() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(settlePoll):
		}
	}
}

func settled() bool {
	running.Lock()
	defer running.Unlock()
	return len(pending(running.names)) == 0
}

func pending(names []string) []string {
	list := []string{}
	for _, name := range names {
		if len(certificates([]string{name})) == 0 && !failures.has(name) {
			list = append(list, name)
		}
	}
	return list
}

// GetStatus asks tailscaled as well, if certificates come from there, and no network otherwise.
func GetStatus(ctx context.Context) Status {
	running.Lock()
	defer running.Unlock()
	status := Status{
		LoadedAt:     running.loadedAt,
		Certificates: certificates(running.names),
		Failures:     failures.list(),
		Pending:      pending(running.names),
		Connections:  Connections{Open: open.Load(), Waiting: waiting.len(), Refused: refused.Load()},
	}
	found, failed := running.managed.ask(ctx)
	status.Certificates = append(status.Certificates, found...)
	status.Failures = append(status.Failures, failed...)
	return status
}

const (
	// askAgain is how long an answer of tailscaled is kept: a status is asked for every few seconds.
	askAgain = time.Minute
	// askLimit is what it may take; it may have to get a new certificate first, which the next status then tells.
	askLimit = 3 * time.Second
)

// managed are names whose certificate is asked from elsewhere at every handshake, with the last answer.
type managed struct {
	names  []string
	asked  time.Time
	found  []Certificate
	failed []Failure
}

func (m *managed) ask(ctx context.Context) ([]Certificate, []Failure) {
	if len(m.names) == 0 || time.Since(m.asked) < askAgain {
		return m.found, m.failed
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	m.asked, m.found, m.failed = time.Now(), nil, nil
	for _, name := range m.names {
		certificate, err := askManager(ctx, name)
		if certificate == nil && err == nil {
			err = errors.New("tailscaled has no certificate for this name")
		}
		if err != nil {
			m.failed = append(m.failed, Failure{
				Name: name, Issuer: kindTailscale, Kind: kindTailscale, Error: err.Error(), At: m.asked.UTC(),
			})
			continue
		}
		m.found = append(m.found, describe(certificate))
	}
	return m.found, m.failed
}
