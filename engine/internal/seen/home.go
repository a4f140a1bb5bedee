package seen

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// networksLast is how long the list of interfaces is good for. To make it costs a millisecond, and containers and VPNs
// come and go with less haste.
const networksLast = 10 * time.Second

// Home is where clients prove nothing: this machine, and networks of it that clients are not told of, such as those of
// its containers.
type Home struct {
	Served []netip.Addr // this machine's addresses that clients come to; none: not known
	Told   []netip.Addr // what clients are told for them

	Interfaces func() ([][]netip.Prefix, error) // what this machine is in
}

// NewHome asks for the interfaces of this machine.
func NewHome() *Home {
	return &Home{Interfaces: remembered(networksLast, interfacePrefixes)}
}

// network is one that an interface of this machine is in.
type network struct {
	own    netip.Prefix // this machine's own address there, with the network's length
	served bool         // clients come to an address of the interface
}

// Has says whether a client proves nothing.
func (h *Home) Has(client netip.Addr) bool {
	if client.IsLoopback() || slices.Contains(h.Told, client) {
		return true
	}
	interfaces, err := h.Interfaces()
	return err != nil || isNear(client, listNetworks(interfaces, h.Served)) // where it can't be told, nothing is proved
}

// isNear wants the networks with the longest first: by that one a client comes in.
func isNear(client netip.Addr, networks []network) bool {
	for _, n := range networks {
		if n.own.Addr() == client {
			return true
		}
	}
	i := slices.IndexFunc(networks, func(n network) bool { return n.own.Contains(client) })
	return i >= 0 && !networks[i].served
}

// listNetworks takes the prefixes of each interface. Where it is not known which one serves, each may.
func listNetworks(interfaces [][]netip.Prefix, served []netip.Addr) []network {
	var networks []network
	for _, prefixes := range interfaces {
		serves := len(served) == 0 || slices.ContainsFunc(prefixes, func(p netip.Prefix) bool {
			return slices.Contains(served, p.Addr())
		})
		for _, p := range prefixes {
			networks = append(networks, network{p, serves})
		}
	}
	slices.SortStableFunc(networks, func(a, b network) int {
		switch {
		case a.own.Bits() != b.own.Bits():
			return b.own.Bits() - a.own.Bits()
		case a.served == b.served:
			return 0
		case a.served:
			return -1
		}
		return 1
	})
	return networks
}

// interfacePrefixes are the addresses of each interface.
func interfacePrefixes() ([][]netip.Prefix, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	all := make([][]netip.Prefix, len(interfaces))
	for i := range interfaces {
		addresses, err := interfaces[i].Addrs()
		if err != nil {
			return nil, err
		}
		for _, address := range addresses {
			prefix, err := netip.ParsePrefix(address.String())
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], prefix)
		}
	}
	return all, nil
}

// remembered returns what ask last said, and asks anew when that is older than a while. An error is not remembered.
func remembered[T any](while time.Duration, ask func() (T, error)) func() (T, error) {
	var mu sync.Mutex
	var last T
	var until time.Time
	return func() (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.After(until) {
			fresh, err := ask()
			if err != nil {
				return fresh, err
			}
			last, until = fresh, now.Add(while)
		}
		return last, nil
	}
}
