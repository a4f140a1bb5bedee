package relay

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
)

// Peers are the only addresses and ports that relayed packets go to and come from.
type Peers []Peer

// Peer is one address with some of its ports.
type Peer struct {
	Address netip.Addr `json:"address"`
	PortRange
}

// allow is asked for every relayed packet, both ways.
func (p Peers) allow(at netip.AddrPort) bool {
	for _, peer := range p {
		if peer.Address == at.Addr() && peer.contains(at.Port()) {
			return true
		}
	}
	return false
}

// allowIP is asked for permissions, which in TURN have no port.
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

// Translations are the peers behind a 1:1 NAT: clients are told the advertised address, and this machine reaches the
// peer at the local one. Permissions and channels hold for what the client named, so what comes back from the local
// address has to bear the advertised one again.
type Translations []struct {
	Advertised netip.Addr `json:"advertised"`
	Local      netip.Addr `json:"local"`
}

// local is where a peer is reached.
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

// peerHomes leads one allocation's packets to where the peers are, and names who answers as the client named them.
type peerHomes struct {
	at []peerHome
}

// peerHome is an address that peers are reached at, by at least one name. A machine that advertises a public address and
// its own for one socket has two.
type peerHome struct {
	local netip.Addr
	names []netip.Addr
	last  *atomic.Int32 // index of the name that the client used last
}

func newPeerHomes(p Peers, t Translations) peerHomes {
	var h peerHomes
	for _, peer := range p {
		local := t.local(peer.Address)
		i := slices.IndexFunc(h.at, func(h peerHome) bool { return h.local == local })
		if i < 0 {
			i = len(h.at)
			h.at = append(h.at, peerHome{local: local, last: new(atomic.Int32)})
		}
		if !slices.Contains(h.at[i].names, peer.Address) {
			h.at[i].names = append(h.at[i].names, peer.Address)
		}
	}
	return h
}

// reach is the address behind a name.
func (h peerHomes) reach(name netip.Addr) netip.Addr {
	for _, home := range h.at {
		if i := slices.Index(home.names, name); i >= 0 {
			if len(home.names) > 1 {
				home.last.Store(int32(i))
			}
			return home.local
		}
	}
	return name
}

// name is what the client calls the address that a packet came from.
func (h peerHomes) name(local netip.Addr) netip.Addr {
	for _, home := range h.at {
		if home.local == local {
			return home.names[home.last.Load()]
		}
	}
	return local
}
