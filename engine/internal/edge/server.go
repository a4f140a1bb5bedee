package edge

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/input"
	"lkhub/engine/internal/relay"
)

// settleLimit is how long a start or a reload waits for certificates, so that a client can connect once the edge is
// ready. The hub's own CA takes milliseconds. The edge does not wait longer for a certificate from another issuer.
const settleLimit = time.Second

// Server is Caddy as an engine, with the relay for TURN over TLS.
type Server struct {
	text string
	path string // "-" can't be read again

	relays *relay.Streams

	loading sync.Mutex
	stop    context.CancelFunc
	stopped context.Context
}

// NewServer runs a configuration. A reload reads it again at path. relays has the relay that the configuration may
// name.
func NewServer(text, path string, relays *relay.Streams) *Server {
	stopped, stop := context.WithCancel(context.Background())
	return &Server{text: text, path: path, relays: relays, stop: stop, stopped: stopped}
}

func (s *Server) Run(ready func()) error {
	if wanted, err := parseServed([]byte(s.text)); err == nil && wanted.Storage.Root != "" {
		mendStorage(wanted.Storage.Root) // now, since no other process uses the storage of an edge that starts
	}
	if err := s.load(s.text); err != nil {
		return err
	}
	ready()
	<-s.stopped.Done()
	s.loading.Lock() // otherwise a reload could start again what is stopped here
	defer s.loading.Unlock()
	return stopCaddy()
}

// load makes a configuration the running one. After an error the previous one still runs.
func (s *Server) load(text string) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	if s.stopped.Err() != nil {
		return nil
	}
	setting, err := getRelay([]byte(text))
	if err != nil {
		setting = nil // Caddy reports what is not JSON
	}
	streams, err := relay.ReadStreams("caddy.json: apps.lkhub.relay", setting)
	if err != nil {
		return err
	}
	// All that can fail does so before the configuration is in force.
	change, err := s.relays.Prepare(streams)
	if err != nil {
		return err
	}
	if err := loadCaddy([]byte(text)); err != nil {
		change.Discard()
		return blame(err)
	}
	change.Commit(func() net.Listener { return listenHanded("relay") })
	settled, cancel := context.WithTimeout(s.stopped, settleLimit)
	defer cancel()
	awaitCertificates(settled)
	admitClients()
	return nil
}

// blame makes Caddy's error about a configuration the caller's fault, and a port that can't be bound the machine's.
func blame(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return err
	}
	// Not failure.Config, which hides long words: here they are names of fields, and caddy.json has no secret.
	return failure.New(failure.ExitUsage, "config", "caddy.json: "+strings.TrimPrefix(err.Error(), "loading new config: "))
}

// Reload reads the file again. Connections go on. If the file is wrong, the previous configuration goes on too.
func (s *Server) Reload() error {
	if s.path == "-" {
		return failure.Config("a configuration from standard input can't be read again")
	}
	text, err := input.ReadText(s.path, nil)
	if err != nil {
		return err
	}
	return s.load(text)
}

// Busy is always false, even with open connections: media drains first, and after its calls no client needs the edge.
func (s *Server) Busy() bool { return false }

// Drain does nothing; see Busy.
func (s *Server) Drain() {}

func (s *Server) Stop() { s.stop() }

func (s *Server) Status(ctx context.Context) (map[string]any, error) {
	text, err := json.Marshal(getStatus())
	if err != nil {
		return nil, err
	}
	var status map[string]any
	if err := json.Unmarshal(text, &status); err != nil {
		return nil, err
	}
	maps.Copy(status, s.relays.Status())
	return status, nil
}
