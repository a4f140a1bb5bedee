// Package firsts records which clients sent to a socket before the socket sent to them. A packet that leaves opens a
// firewall for its receiver, so only a client that was first shows that the firewall lets others in.
package firsts

import (
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun/v3"
)

const (
	// remembered is how long a client is known, at least, after its last check. Firewalls forget an exchange of UDP
	// packets sooner: Linux after 3 minutes, Google Cloud, the slowest that is known, after 10.
	remembered = 20 * time.Minute
	// maxCame bounds what strangers can make the record remember, as anybody can send a check; maxAsked bounds what
	// participants can, who may name any address for media to send checks to. Each is more than a hub has in that time.
	maxCame  = 1 << 16
	maxAsked = 1 << 18
)

// Record knows of each client, by its address and port, whether its first check came before one was sent to it. Only
// checks of ICE are looked at: they come before every other packet.
type Record struct {
	mu sync.Mutex
	// The current period, which began at since, and the one before it.
	now, before period
	since       time.Time
	clock       func() time.Time
}

// period has the clients of a while. No client is both.
type period struct {
	came  map[netip.AddrPort]struct{} // who were first
	asked map[netip.AddrPort]struct{} // who were sent to first
	full  bool                        // more were sent to than are recorded
}

func newPeriod() period {
	return period{came: map[netip.AddrPort]struct{}{}, asked: map[netip.AddrPort]struct{}{}}
}

// NewRecord returns an empty one.
func NewRecord() *Record {
	return &Record{now: newPeriod(), before: newPeriod(), since: time.Now(), clock: time.Now}
}

// CameFirst reports whether the first check between client and the sockets of this record came from the client. It is
// also false for a client that is not known.
func (r *Record) CameFirst(client netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	client = plain(client)
	_, now := r.now.came[client]
	_, before := r.before.came[client]
	return now || before
}

// sends notes a packet that is about to leave.
func (r *Record) sends(packet []byte, to netip.AddrPort) {
	if isCheck(packet) {
		r.note(to, false)
	}
}

// receives notes a packet that has come.
func (r *Record) receives(packet []byte, from netip.AddrPort) {
	if isCheck(packet) {
		r.note(from, true)
	}
}

// note records whether a client was first, unless it is known already.
func (r *Record) note(client netip.AddrPort, came bool) {
	client = plain(client)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	if r.now.knows(client) {
		return
	}
	if r.before.knows(client) {
		_, came = r.before.came[client]
	}
	switch {
	case !came:
		r.now.addAsked(client)
	case !r.now.full && !r.before.full: // else it may have been sent to
		r.now.addCame(client)
	}
}

func (p *period) knows(client netip.AddrPort) bool {
	_, came := p.came[client]
	_, asked := p.asked[client]
	return came || asked
}

// addCame forgets any other client that came first where there are too many. Each matters for seconds only, and a flood
// that is over hides nobody who comes after it.
func (p *period) addCame(client netip.AddrPort) {
	if len(p.came) >= maxCame {
		for other := range p.came {
			delete(p.came, other)
			break
		}
	}
	p.came[client] = struct{}{}
}

// addAsked forgets nobody: a forgotten client would seem to be first the next time. Where there are too many, no new
// client is said to be first in this period and the next.
func (p *period) addAsked(client netip.AddrPort) {
	if len(p.asked) >= maxAsked {
		p.full = true
		return
	}
	p.asked[client] = struct{}{}
}

// forget begins a new period where the current one is over, and drops the one before it.
func (r *Record) forget() {
	now := r.clock()
	age := now.Sub(r.since)
	if age < remembered {
		return
	}
	if r.before = r.now; age >= 2*remembered {
		r.before = newPeriod()
	}
	r.now, r.since = newPeriod(), now
}

// plain is an address and port as candidates write them: IPv4 as such, and no zone.
func plain(address netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(address.Addr().Unmap().WithZone(""), address.Port())
}

// isCheck tells a STUN request (RFC 8489, section 5) from answers and media.
func isCheck(packet []byte) bool {
	return len(packet) >= 20 && packet[0] == 0 && packet[1] == 1 && stun.IsMessage(packet)
}
