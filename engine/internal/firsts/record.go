// Package firsts tells whose first packet came before any was sent to them. What a socket sends opens a firewall that
// drops packets that nobody asked for, so only such a client shows that others get in, too.
package firsts

import (
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun/v3"
)

const (
	// remembered is for how long an end is known at least after its last check. Firewalls forget an exchange of UDP
	// packets sooner: Linux after 3 minutes, Google Cloud, the slowest that is known, after 10.
	remembered = 20 * time.Minute
	// maxComers bounds what strangers can make us remember: whose packets come is no participant yet.
	maxComers = 1 << 16
)

// Record knows which side sent first, of each pair of a socket here and an address there: of a firewall, only packets
// between the same addresses and ports are an answer. Checks of ICE are enough to know, as they come before all else.
type Record struct {
	mu          sync.Mutex
	now, before map[netip.AddrPort]bool // whether the other end was first; before is dropped when now becomes it
	since       time.Time               // of now
	clock       func() time.Time
}

// NewRecord returns an empty one.
func NewRecord() *Record {
	return &Record{now: map[netip.AddrPort]bool{}, since: time.Now(), clock: time.Now}
}

// Unasked reports whether the first packet between this end and any of our sockets came from there. It is false, too, of
// an end that is not known.
func (r *Record) Unasked(from netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	end := plain(from)
	return r.now[end] || r.before[end]
}

// sends takes down a packet before it leaves.
func (r *Record) sends(packet []byte, to netip.AddrPort) {
	if isCheck(packet) {
		r.note(to, false)
	}
}

// takes takes down a packet that has come.
func (r *Record) takes(packet []byte, from netip.AddrPort) {
	if isCheck(packet) {
		r.note(from, true)
	}
}

// note keeps what is known of an end, else who is first now. An end that we have sent to is never left out: it would seem
// to come unasked the next time.
func (r *Record) note(end netip.AddrPort, came bool) {
	end = plain(end)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	if _, ok := r.now[end]; ok {
		return
	}
	first, known := r.before[end]
	if !known {
		first = came
	}
	if !first || len(r.now) < maxComers {
		r.now[end] = first
	}
}

// forget drops what is older than twice the time.
func (r *Record) forget() {
	now := r.clock()
	age := now.Sub(r.since)
	if age < remembered {
		return
	}
	if r.before = r.now; age >= 2*remembered {
		r.before = nil
	}
	r.now, r.since = map[netip.AddrPort]bool{}, now
}

// plain is the end as it is written in candidates.
func plain(end netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(end.Addr().Unmap().WithZone(""), end.Port())
}

// isCheck tells a STUN request (RFC 8489, section 5) from answers and media.
func isCheck(packet []byte) bool {
	return len(packet) >= 20 && packet[0] == 0 && packet[1] == 1 && stun.IsMessage(packet)
}
