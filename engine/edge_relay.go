package main

import (
	"context"
	"log"
	"maps"
	"math"
	"net"
	"slices"
	"sync"

	"lkhub/engine/internal/edge"
	"lkhub/engine/internal/places"
	"lkhub/engine/internal/seen"
)

// streamRelays are the relay for TURN over TLS, which is in the edge's process: another one would cost each packet two
// more copies and two more system calls. A changed configuration makes another relay, and who has come to the one
// before stays with it.
type streamRelays struct {
	mu      sync.Mutex
	current streamConfig
	newest  *relay   // nil: TURN over TLS is not offered
	running []*relay // the newest, and older ones until their last client has left
	seen    map[string]seen.Sighting
	open    func(*relay) error
	bounds  *relayBounds // of all of them together
}

// streamConfig is what makes a relay another one.
type streamConfig struct {
	text   string // of its setting in caddy.json
	relay  relayConfig
	secret string
}

// newStreamRelays is for one process: its bounds are kept until that ends.
func newStreamRelays() *streamRelays {
	// A descriptor is the client's connection, and one the relay port.
	bounds := newRelayBounds(places.ForFiles(2, math.MaxUint16))
	go bounds.run(context.Background())
	return &streamRelays{seen: map[string]seen.Sighting{}, open: (*relay).open, bounds: bounds}
}

// readStreams reads the relay's setting in caddy.json, and its secret. Without a setting there is no relay.
func readStreams(caddyJSON string) (streamConfig, error) {
	setting, err := edge.GetRelay([]byte(caddyJSON))
	if err != nil || setting == nil {
		return streamConfig{}, nil // what is no JSON Caddy will say
	}
	config, secret, err := readRelayConfig("caddy.json: apps.lkhub.relay", string(setting), false)
	return streamConfig{string(setting), config, secret}, err
}

// prepare makes the relay for wanted; it takes no connection before commit. After an error nothing has changed.
func (s *streamRelays) prepare(wanted streamConfig) (*relayChange, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wanted.text == s.current.text && wanted.secret == s.current.secret {
		return &relayChange{}, nil
	}
	change := &relayChange{relays: s, wanted: wanted}
	if wanted.text == "" {
		return change, nil
	}
	change.listener = newLateListener()
	change.next = newRelay(wanted.relay, wanted.secret, change.listener, s.bounds)
	if err := s.open(change.next); err != nil {
		return nil, err
	}
	return change, nil
}

// relayChange is a relay on its way in; relays is nil where there is nothing to change.
type relayChange struct {
	relays   *streamRelays
	wanted   streamConfig
	next     *relay // nil: TURN over TLS is not offered any more
	listener *lateListener
}

// commit gives new connections to the changed relay. It can't fail: the edge runs its configuration by then.
func (c *relayChange) commit() {
	s := c.relays
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.next != nil {
		s.bounds.use(c.wanted.relay)
		c.listener.listen(edge.ListenHanded("relay"))
		s.running = append(s.running, c.next)
		go s.serve(c.next)
	}
	if s.newest != nil {
		s.newest.retire()
	}
	s.current, s.newest = c.wanted, c.next
}

// discard gives the change up: the edge refused the rest of its configuration.
func (c *relayChange) discard() {
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

func (s *streamRelays) serve(r *relay) {
	if err := r.serve(); err != nil {
		log.Printf("the relay for TURN over TLS: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = slices.DeleteFunc(s.running, func(other *relay) bool { return other == r })
	s.remember(r)
}

// remember keeps the last sighting of each path.
func (s *streamRelays) remember(r *relay) {
	for path, sighted := range r.seen() {
		if sighted.At > s.seen[path].At {
			s.seen[path] = sighted
		}
	}
}

// status tells of all that run, as the status of a relay does, and how many connections they have.
func (s *streamRelays) status() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	allocations, connections := 0, 0
	for _, r := range s.running {
		allocations += r.allocations()
		connections += r.door.connections()
		s.remember(r)
	}
	told := map[string]any{"allocations": allocations, "connections": connections}
	if s.newest != nil || allocations > 0 {
		told["ports"] = s.bounds.status()
	}
	return map[string]any{"relay": told, "seen": maps.Clone(s.seen)}
}
