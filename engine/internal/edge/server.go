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

// settleLimit is how long a start or a reload waits for certificates, so that whoever is told "ready" can connect. One
// of the hub's own CA takes milliseconds; for one that an issuer elsewhere has to make nobody waits.
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

// NewServer runs a configuration, which a reload reads again at path. relays has the relay that it may name.
func NewServer(text, path string, relays *relay.Streams) *Server {
	stopped, stop := context.WithCancel(context.Background())
	return &Server{text: text, path: path, relays: relays, stop: stop, stopped: stopped}
}

func (s *Server) Run(ready func()) error {
	if err := s.load(s.text); err != nil {
		return err
	}
	ready()
	<-s.stopped.Done()
	s.loading.Lock() // a reload would start again what is stopped here
	defer s.loading.Unlock()
	return stopCaddy()
}

// load makes a configuration the one that runs; after an error it is still the one before.
func (s *Server) load(text string) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	if s.stopped.Err() != nil {
		return nil
	}
	setting, err := getRelay([]byte(text))
	if err != nil {
		setting = nil // what is no JSON Caddy will say
	}
	streams, err := relay.ReadStreams("caddy.json: apps.lkhub.relay", setting)
	if err != nil {
		return err
	}
	// Whatever can fail does so before the configuration is in force.
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

// blame makes what Caddy says of a configuration the caller's fault, and a port that can't be bound the machine's.
func blame(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return err
	}
	// Not failure.Config, which blots out long words: here they are names of fields, and caddy.json holds no secret.
	return failure.New(failure.ExitUsage, "config", "caddy.json: "+strings.TrimPrefix(err.Error(), "loading new config: "))
}

// Reload reads the file anew. Connections go on, and if it is wrong so does what ran before.
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

// Busy is false with connections open: media drains before, and once its calls are over nobody needs the way there.
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
