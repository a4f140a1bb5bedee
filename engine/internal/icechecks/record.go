// Package icechecks records which clients sent to a socket before the socket sent to them. A packet that leaves may open a
// firewall for its receiver. So only a client that sent first shows that the firewall lets clients in.
package icechecks

import (
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun/v3"
)

const (
	// remembered is how long, at least, a client is remembered after its last check. Firewalls forget an exchange of
	// UDP packets sooner: Linux after 3 minutes, and Google Cloud, the slowest known, after 10.
	remembered = 20 * time.Minute
	// maxCame limits what strangers can make the record remember, as every program can send a check. maxAsked limits
	// what participants can, as they may name any address for media to send checks to. Both are more than a hub has in
	// that time.
	maxCame  = 1 << 16
	maxAsked = 1 << 18
)

// Record knows for each client, by address and port, which came first: its first check, or the first check to it. It
// looks at ICE checks only, as they come before all other packets.
type Record struct {
	mu sync.Mutex
	// The current period, which began at since, and the previous one.
	now, before period
	since       time.Time
	clock       func() time.Time
}

// period has the clients of a span of time. No client is in both maps.
type period struct {
	came  map[netip.AddrPort]struct{} // clients that sent first
	asked map[netip.AddrPort]struct{} // clients that were sent to first
	full  bool                        // some clients that were sent to are not recorded
}

func newPeriod() period {
	return period{came: map[netip.AddrPort]struct{}{}, asked: map[netip.AddrPort]struct{}{}}
}

// NewRecord returns an empty record.
func NewRecord() *Record {
	return &Record{now: newPeriod(), before: newPeriod(), since: time.Now(), clock: time.Now}
}

// CameFirst reports whether the first check between client and the sockets of this record came from the client. It is
// also false for an unknown client.
func (r *Record) CameFirst(client netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	client = plain(client)
	_, now := r.now.came[client]
	_, before := r.before.came[client]
	return now || before
}

// sends records a packet that is about to leave.
func (r *Record) sends(packet []byte, to netip.AddrPort) {
	if isCheck(packet) {
		r.note(to, false)
	}
}

// receives records a packet that has arrived.
func (r *Record) receives(packet []byte, from netip.AddrPort) {
	if isCheck(packet) {
		r.note(from, true)
	}
}

// note records whether a client was first, unless the client is already known.
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
	case !r.now.full && !r.before.full: // otherwise the client may have been sent to
		r.now.addCame(client)
	}
}

func (p *period) knows(client netip.AddrPort) bool {
	_, came := p.came[client]
	_, asked := p.asked[client]
	return came || asked
}

// addCame drops a random client that came first when there are too many. Each matters for seconds only, and after a
// flood of checks new clients are recorded again.
func (p *period) addCame(client netip.AddrPort) {
	if len(p.came) >= maxCame {
		for other := range p.came {
			delete(p.came, other)
			break
		}
	}
	p.came[client] = struct{}{}
}

// addAsked drops no client, since a forgotten client would seem to be first the next time. When there are too many, no
// new client counts as first in this period and the next.
func (p *period) addAsked(client netip.AddrPort) {
	if len(p.asked) >= maxAsked {
		p.full = true
		return
	}
	p.asked[client] = struct{}{}
}

// forget begins a new period when the current one is over, and drops the previous one.
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

// plain is an address and port as candidates write them: IPv4 unmapped, and without a zone.
func plain(address netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(address.Addr().Unmap().WithZone(""), address.Port())
}

// isCheck tells a STUN request (RFC 8489, section 5) from answers and media.
func isCheck(packet []byte) bool {
	return len(packet) >= 20 && packet[0] == 0 && packet[1] == 1 && stun.IsMessage(packet)
}
