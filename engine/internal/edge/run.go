package edge

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"lkhub/engine/internal/connlimit"
)

// Status is the state of the edge at one moment.
type Status struct {
	LoadedAt     time.Time     `json:"loaded_at"` // when the running configuration was loaded
	Certificates []Certificate `json:"certificates"`
	Failures     []Failure     `json:"failures"`
	Pending      []string      `json:"pending"` // names with neither a certificate nor a failure yet
	Connections  Connections   `json:"connections"`
	Unannounced  *Unannounced  `json:"unannounced"`
}

// Connections counts clients' connections since the start.
type Connections struct {
	connlimit.Report
	Waiting int `json:"waiting"` // open connections that are not known to be a client's yet: TLS not ended, or nothing sent after it
}

// countConnections counts as Refused what any of the limits refused or cut off.
func countConnections() Connections {
	report := connected().Report()
	report.Refused += cut.Load()
	for _, other := range []connlimit.Report{streaming().Report(), asking().Report()} {
		report.Refused += other.Refused
		if other.Refusal != nil && (report.Refusal == nil || report.Refusal.At < other.Refusal.At) {
			report.Refusal = other.Refusal
		}
	}
	return Connections{report, waiting.len()}
}

// running is the configuration that Caddy runs.
var running struct {
	sync.Mutex
	loadedAt time.Time
	names    []string // names for which its cache may hold a certificate
	managed  *managed
}

// loadCaddy makes Caddy run a configuration. It also reloads the running one, since files that it names may have
// changed. After an error the previous configuration still runs. The error for a port that can't be bound has its
// errno.
func loadCaddy(config []byte) error {
	began := time.Now().UTC()
	wanted, err := parseServed(config)
	if err != nil {
		return err
	}
	if err := wanted.confine(); err != nil {
		return err
	}
	before := proxies.Swap(wanted.Apps.Lkhub.Proxies)
	if err := load(config); err != nil {
		proxies.Store(before)
		return err
	}
	dropInherited()
	failures.forget(began)
	running.Lock()
	defer running.Unlock()
	running.loadedAt, running.names = began, wanted.names()
	running.managed = takeOver(running.managed, wanted.managed())
	return nil
}

// load adds the errno to Caddy's error, which is only text.
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

// stopCaddy closes the listeners and releases the locks of the storage. Connections end with the process.
func stopCaddy() error {
	err := caddy.Stop()
	certmagic.CleanUpOwnLocks(context.Background(), caddy.Log())
	return err
}

// settlePoll is how often awaitCertificates looks. The hub's own CA issues in a few milliseconds.
const settlePoll = 5 * time.Millisecond

// awaitCertificates returns when each name has a certificate or has failed to get one, or when ctx ends.
func awaitCertificates(ctx context.Context) {
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
	return len(pending(running.names)) == 0 && running.managed.answered()
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

// getStatus asks no daemon and no server: what is not known yet is pending.
func getStatus() Status {
	running.Lock()
	defer running.Unlock()
	status := Status{
		LoadedAt:     running.loadedAt,
		Certificates: certificates(running.names),
		Failures:     failures.list(),
		Pending:      pending(running.names),
		Connections:  countConnections(),
		Unannounced:  unannounced.read(),
	}
	running.managed.report(&status)
	return status
}
