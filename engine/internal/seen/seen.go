// Package seen is who has used a path to this machine from outside, and when. Nothing on this machine can prove a way in.
package seen

import (
	"maps"
	"net/netip"
	"sync"
	"time"
)

// Record tells when and from where clients on other machines last used each path. Nothing on this machine can prove a
// way in: packets to one's own address meet neither the router nor the cloud's firewall.
type Record struct {
	IsHome func(netip.Addr) bool // whether a client proves nothing about the way in

	mu       sync.Mutex
	last     map[string]Sighting // by path, of clients that were first to send
	doubtful map[string]Sighting // by path, of clients that were sent to first: the way may have been open to them alone
}

// Sighting is the last use of one path.
type Sighting struct {
	At      float64    `json:"at"` // seconds since 1970
	Address netip.Addr `json:"address"`
}

// New records the uses of clients that isHome does not know.
func New(isHome func(netip.Addr) bool) *Record {
	return &Record{IsHome: isHome, last: map[string]Sighting{}, doubtful: map[string]Sighting{}}
}

// Note records the use of a path by a client that was the first to send, which proves that others get in.
func (s *Record) Note(path string, client netip.Addr, at time.Time) {
	s.keep(s.last, path, client, at)
}

// noteUnproven records the use of a path by a client that was sent to first.
func (s *Record) noteUnproven(path string, client netip.Addr, at time.Time) {
	s.keep(s.doubtful, path, client, at)
}

func (s *Record) keep(last map[string]Sighting, path string, client netip.Addr, at time.Time) {
	client = client.Unmap().WithZone("")
	if s.IsHome(client) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if seconds := float64(at.UnixMilli()) / 1000; seconds > last[path].At {
		last[path] = Sighting{seconds, client}
	}
}

// Proven are the last uses that prove the way in, by path.
func (s *Record) Proven() map[string]Sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.last)
}

// Unproven are the last uses that do not, by path.
func (s *Record) Unproven() map[string]Sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.doubtful)
}
