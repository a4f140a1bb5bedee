package relay

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
)

// Peers are the only addresses and ports that relayed packets may go to and come from.
type Peers []Peer

// Peer is one address and a range of its ports.
type Peer struct {
	Address netip.Addr `json:"address"`
	PortRange
}

// allow is called for every relayed packet, in both directions.
func (p Peers) allow(at netip.AddrPort) bool {
	for _, peer := range p {
		if peer.Address == at.Addr() && peer.contains(at.Port()) {
			return true
		}
	}
	return false
}

// allowIP is called for permissions, which have no port in TURN.
func (p Peers) allowIP(ip net.IP) bool {
	address, ok := netip.AddrFromSlice(ip)
	if !ok {
		return false
	}
	for _, peer := range p {
		if peer.Address == address.Unmap() {
			return true
		}
	}
	return false
}

// Translations are for peers behind a 1:1 NAT. Clients are told the advertised address, and this machine reaches the
// peer at the local address. Permissions and channels are for the address that the client named, so packets that come
// back from the local address must have the advertised one again.
type Translations []struct {
	Advertised netip.Addr `json:"advertised"`
	Local      netip.Addr `json:"local"`
}

// local is the address at which this machine reaches a peer.
func (t Translations) local(peer netip.Addr) netip.Addr {
	for _, translation := range t {
		if translation.Advertised == peer {
			return translation.Local
		}
	}
	return peer
}

func (t Translations) faults(p Peers) []string {
	var wrong []string
	add := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Sprintf("translate: "+format, args...))
		}
	}
	seen := map[netip.Addr]bool{}
	for _, translation := range t {
		from, to := translation.Advertised, translation.Local
		if !from.IsValid() || !to.IsValid() {
			add(true, "each entry needs the addresses advertised and local")
			continue
		}
		add(from.Is4() != to.Is4(), "%s and %s are of different families", from, to)
		add(from == to, "%s is translated to itself", from)
		add(seen[from], "%s is given twice", from)
		add(!p.allowIP(from.AsSlice()), "%s is no peer", from)
		seen[from] = true
	}
	return wrong
}

// peerAddresses sends the packets of one allocation to the peers' local addresses, and gives answers the address that the
// client named.
type peerAddresses struct {
	at []peerAddress
}

// peerAddress is a local address of peers, and the names that clients have for it. A machine that advertises both a public
// address and its own for one socket has two names.
type peerAddress struct {
	local netip.Addr
	names []netip.Addr
	last  *atomic.Int32 // index of the name that the client used last
}

func newPeerAddresses(p Peers, t Translations) peerAddresses {
	var h peerAddresses
	for _, peer := range p {
		local := t.local(peer.Address)
		i := slices.IndexFunc(h.at, func(h peerAddress) bool { return h.local == local })
		if i < 0 {
			i = len(h.at)
			h.at = append(h.at, peerAddress{local: local, last: new(atomic.Int32)})
		}
		if !slices.Contains(h.at[i].names, peer.Address) {
			h.at[i].names = append(h.at[i].names, peer.Address)
		}
	}
	return h
}

// reach is the local address for a name.
func (h peerAddresses) reach(name netip.Addr) netip.Addr {
	for _, address := range h.at {
		if i := slices.Index(address.names, name); i >= 0 {
			if len(address.names) > 1 {
				address.last.Store(int32(i))
			}
			return address.local
		}
	}
	return name
}

// name is what the client calls a packet's source address.
func (h peerAddresses) name(local netip.Addr) netip.Addr {
	for _, address := range h.at {
		if address.local == local {
			return address.names[address.last.Load()]
		}
	}
	return local
}
