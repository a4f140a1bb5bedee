package relay

import (
	"context"
	"log"
	"maps"
	"math"
	"net"
	"slices"
	"sync"

	"lkhub/engine/internal/connlimit"
	"lkhub/engine/internal/seen"
)

// Streams are the relay for TURN over TLS, which is in the edge's process: another one would cost each packet two
// more copies and two more system calls. A changed configuration makes another relay, and who has come to the one
// before stays with it.
type Streams struct {
	mu      sync.Mutex
	current StreamConfig
	newest  *Server   // nil: TURN over TLS is not offered
	running []*Server // the newest, and older ones until their last client has left
	seen    map[string]seen.Sighting
	Open    func(*Server) error
	bounds  *Bounds // of all of them together
}

// StreamConfig is what makes a relay another one.
type StreamConfig struct {
	text   string // of its setting in caddy.json
	relay  Config
	secret string
}

// NewStreams is for one process: its bounds are kept until that ends.
func NewStreams() *Streams {
	// A descriptor is the client's connection, and one the relay port.
	bounds := NewBounds(connlimit.ForFiles(2, math.MaxUint16))
	go bounds.run(context.Background())
	return &Streams{seen: map[string]seen.Sighting{}, Open: (*Server).open, bounds: bounds}
}

// ReadStreams reads the setting of a relay, and its secret. where is what the setting is called in an error. Without a
// setting there is no relay.
func ReadStreams(where string, setting []byte) (StreamConfig, error) {
	if setting == nil {
		return StreamConfig{}, nil
	}
	config, secret, err := ReadConfig(where, string(setting), false)
	return StreamConfig{string(setting), config, secret}, err
}

// Prepare makes the relay for wanted; it takes no connection before commit. After an error nothing has changed.
func (s *Streams) Prepare(wanted StreamConfig) (*Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wanted.text == s.current.text && wanted.secret == s.current.secret {
		return &Change{}, nil
	}
	change := &Change{relays: s, wanted: wanted}
	if wanted.text == "" {
		return change, nil
	}
	change.listener = newLateListener()
	change.next = New(wanted.relay, wanted.secret, change.listener, s.bounds)
	if err := s.Open(change.next); err != nil {
		return nil, err
	}
	return change, nil
}

// Change is a relay on its way in; relays is nil where there is nothing to change.
type Change struct {
	relays   *Streams
	wanted   StreamConfig
	next     *Server // nil: TURN over TLS is not offered any more
	listener *lateListener
}

// Commit gives the connections of a listener to the changed relay; listen makes it where there is a relay. It can't fail:
// the edge runs its configuration by then.
func (c *Change) Commit(listen func() net.Listener) {
	s := c.relays
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.next != nil {
		s.bounds.Use(c.wanted.relay)
		c.listener.listen(listen())
		s.running = append(s.running, c.next)
		go s.serve(c.next)
	}
	if s.newest != nil {
		s.newest.retire()
	}
	s.current, s.newest = c.wanted, c.next
}

// Discard gives the change up: the edge refused the rest of its configuration.
func (c *Change) Discard() {
	if c.next != nil {
		c.next.retire()
		go func() { _ = c.next.serve() }()
	}
}

// lateListener takes no connection before it is told which listener they come from.
type lateListener struct {
	told   chan struct{} // closed when inner is there
	inner  net.Listener
	once   sync.Once
	closed chan struct{}
}

func newLateListener() *lateListener {
	return &lateListener{told: make(chan struct{}), closed: make(chan struct{})}
}

func (l *lateListener) listen(inner net.Listener) {
	l.inner = inner
	close(l.told)
}

func (l *lateListener) Accept() (net.Conn, error) {
	select {
	case <-l.told:
		return l.inner.Accept()
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *lateListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	select {
	case <-l.told:
		return l.inner.Close()
	default:
		return nil
	}
}

func (l *lateListener) Addr() net.Addr { return lateAddr{} }

type lateAddr struct{}

func (lateAddr) Network() string { return "late" }
func (lateAddr) String() string  { return "relay" }

func (s *Streams) serve(r *Server) {
	if err := r.serve(); err != nil {
		log.Printf("the relay for TURN over TLS: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = slices.DeleteFunc(s.running, func(other *Server) bool { return other == r })
	s.remember(r)
}

// remember keeps the last sighting of each path.
func (s *Streams) remember(r *Server) {
	for path, sighted := range r.seen() {
		if sighted.At > s.seen[path].At {
			s.seen[path] = sighted
		}
	}
}

// Status tells of all that run, as the status of a relay does, and how many connections they have.
func (s *Streams) Status() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	allocations, connections := 0, 0
	for _, r := range s.running {
		allocations += r.Allocations()
		connections += r.listener.connections()
		s.remember(r)
	}
	told := map[string]any{"allocations": allocations, "connections": connections}
	if s.newest != nil || allocations > 0 {
		told["ports"] = s.bounds.status()
	}
	return map[string]any{"relay": told, "seen": maps.Clone(s.seen)}
}
