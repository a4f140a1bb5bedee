// Package seen records which client has used a path to this machine from outside, and when. Nothing on this machine
// itself can prove that clients get in.
package seen

import (
	"maps"
	"net/netip"
	"sync"
	"time"
)

// Record has when and from where clients on other machines last used each path. Nothing on this machine can prove that
// clients get in: packets to one's own address pass neither the router nor the cloud's firewall.
type Record struct {
	IsInside func(netip.Addr) bool // whether a client proves nothing

	mu       sync.Mutex
	last     map[string]Sighting // by path, of clients that sent first
	doubtful map[string]Sighting // by path, of clients that were sent to first, which may have opened a firewall for them alone
}

// Sighting is the last use of one path.
type Sighting struct {
	At      float64    `json:"at"` // seconds since 1970
	Address netip.Addr `json:"address"`
}

// New ignores clients for which isInside is true.
func New(isInside func(netip.Addr) bool) *Record {
	return &Record{IsInside: isInside, last: map[string]Sighting{}, doubtful: map[string]Sighting{}}
}

// Note records the use of a path by a client that sent first, which proves that clients get in.
func (s *Record) Note(path string, client netip.Addr, at time.Time) {
	s.keep(s.last, path, client, at)
}

// noteUnproven records the use of a path by a client that was sent to first.
func (s *Record) noteUnproven(path string, client netip.Addr, at time.Time) {
	s.keep(s.doubtful, path, client, at)
}

func (s *Record) keep(last map[string]Sighting, path string, client netip.Addr, at time.Time) {
	client = client.Unmap().WithZone("")
	if s.IsInside(client) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if seconds := float64(at.UnixMilli()) / 1000; seconds > last[path].At {
		last[path] = Sighting{seconds, client}
	}
}

// Proven has the last use of each path that proves that clients get in.
func (s *Record) Proven() map[string]Sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.last)
}

// Unproven has the last use of each path that does not prove it.
func (s *Record) Unproven() map[string]Sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.doubtful)
}
