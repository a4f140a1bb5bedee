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

// Streams is the relay for TURN over TLS. It is in the edge's process, since a process of its own would cost two more
// copies and two more system calls for each packet. A changed configuration makes a new relay, and connected clients
// stay with the old one.
type Streams struct {
	mu      sync.Mutex
	current StreamConfig
	newest  *Server   // nil: TURN over TLS is not offered
	running []*Server // the newest, and older ones until their last client has left
	seen    map[string]seen.Sighting
	Open    func(*Server) error
	bounds  *Bounds // for all relays together
}

// StreamConfig is the configuration of a relay. A different one makes a new relay.
type StreamConfig struct {
	text   string // the setting in caddy.json
	relay  Config
	secret string
}

// NewStreams is called once in a process, which keeps the bounds until it ends.
func NewStreams() *Streams {
	// One descriptor is for the client's connection, one for the relay port.
	bounds := NewBounds(connlimit.ForFiles(2, math.MaxUint16))
	go bounds.run(context.Background())
	return &Streams{seen: map[string]seen.Sighting{}, Open: (*Server).open, bounds: bounds}
}

// ReadStreams reads the setting of a relay and its secret. where names the setting in errors. Without a setting there
// is no relay.
func ReadStreams(where string, setting []byte) (StreamConfig, error) {
	if setting == nil {
		return StreamConfig{}, nil
	}
	config, secret, err := ReadConfig(where, string(setting), false)
	return StreamConfig{string(setting), config, secret}, err
}

// Prepare makes the relay for wanted. It accepts no connection before Commit. After an error nothing has changed.
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

// Change is a relay that is about to replace another; relays is nil if nothing changes.
type Change struct {
	relays   *Streams
	wanted   StreamConfig
	next     *Server // nil: no more TURN over TLS
	listener *lateListener
}

// Commit gives the connections of a listener to the changed relay. listen makes the listener, if there is a relay.
// Commit can't fail, since the edge already runs its new configuration.
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

// Discard drops the change, because the edge refused another part of its configuration.
func (c *Change) Discard() {
	if c.next != nil {
		c.next.retire()
		go func() { _ = c.next.serve() }()
	}
}

// lateListener accepts no connection until it is told the listener that they come from.
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

// Status is the status of all running relays together, and the number of their connections.
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
