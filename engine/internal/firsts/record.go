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
	// maxClients bounds what strangers can make the record remember. Anybody can send a check.
	maxClients = 1 << 16
)

// Record knows of each client, by its address and port, whether its first check came before one was sent to it. Only
// checks of ICE are looked at: they come before every other packet.
type Record struct {
	mu sync.Mutex
	// Whether each client was first: those of the current period, which began at since, and of the one before it.
	now, before map[netip.AddrPort]bool
	since       time.Time
	clock       func() time.Time
}

// NewRecord returns an empty one.
func NewRecord() *Record {
	return &Record{now: map[netip.AddrPort]bool{}, since: time.Now(), clock: time.Now}
}

// CameFirst reports whether the first check between client and the sockets of this record came from the client. It is
// also false for a client that is not known.
func (r *Record) CameFirst(client netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	client = plain(client)
	return r.now[client] || r.before[client]
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

// note records whether a client was first, unless it is known already. A client that was sent to is recorded even where
// the record is full: it would seem to be first the next time.
func (r *Record) note(client netip.AddrPort, came bool) {
	client = plain(client)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	if _, ok := r.now[client]; ok {
		return
	}
	first, known := r.before[client]
	if !known {
		first = came
	}
	if !first || len(r.now) < maxClients {
		r.now[client] = first
	}
}

// forget begins a new period where the current one is over, and drops the one before it.
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

// plain is an address and port as candidates write them: IPv4 as such, and no zone.
func plain(address netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(address.Addr().Unmap().WithZone(""), address.Port())
}

// isCheck tells a STUN request (RFC 8489, section 5) from answers and media.
func isCheck(packet []byte) bool {
	return len(packet) >= 20 && packet[0] == 0 && packet[1] == 1 && stun.IsMessage(packet)
}
