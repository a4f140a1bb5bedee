package main

import (
	"log"
	"maps"
	"slices"
	"sync"

	"lkhub/engine/internal/edge"
)

// streamRelays are the relay for TURN over TLS, which is in the edge's process: another one would cost each packet two
// more copies and two more system calls. A changed configuration makes another relay, and who has come to the one
// before stays with it.
type streamRelays struct {
	mu      sync.Mutex
	current streamConfig
	newest  *relay   // nil: TURN over TLS is not offered
	running []*relay // the newest, and older ones until their last client has left
	seen    map[string]sighting
}

// streamConfig is what makes a relay another one.
type streamConfig struct {
	text   string // of its setting in caddy.json
	relay  relayConfig
	secret string
}

func newStreamRelays() *streamRelays { return &streamRelays{seen: map[string]sighting{}} }

// readStreams reads the relay's setting in caddy.json, and its secret. Without a setting there is no relay.
func readStreams(caddyJSON string) (streamConfig, error) {
	setting, err := edge.GetRelay([]byte(caddyJSON))
	if err != nil || setting == nil {
		return streamConfig{}, nil // what is no JSON Caddy will say
	}
	config, secret, err := readRelayConfig("caddy.json: apps.lkhub.relay", string(setting), false)
	return streamConfig{string(setting), config, secret}, err
}

// use makes wanted the relay of who comes from now on.
func (s *streamRelays) use(wanted streamConfig) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wanted.text == s.current.text && wanted.secret == s.current.secret {
		return nil
	}
	var next *relay
	if wanted.text != "" {
		next = newRelay(wanted.relay, wanted.secret, edge.ListenHanded("relay"))
		if err := next.open(); err != nil {
			return err
		}
		s.running = append(s.running, next)
		go s.serve(next)
	}
	if s.newest != nil {
		s.newest.retire()
	}
	s.current, s.newest = wanted, next
	return nil
}

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
	counts := map[string]int{"allocations": allocations, "connections": connections}
	return map[string]any{"relay": counts, "seen": maps.Clone(s.seen)}
}
