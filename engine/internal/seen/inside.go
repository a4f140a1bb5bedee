package seen

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// networksLast is how long a list of interfaces is used. Making it costs a millisecond, and containers and VPNs do not
// come and go faster.
const networksLast = 10 * time.Second

// Inside has the addresses from which a client proves nothing about the outside: this machine's own, and those of
// networks whose clients are told no address there, such as its containers' networks.
type Inside struct {
	Served []netip.Addr // this machine's addresses that clients connect to; nil: not known
	Told   []netip.Addr // the addresses that clients are told for them

	Interfaces func() ([][]netip.Prefix, error) // the addresses of each interface
}

// NewInside uses the interfaces of this machine.
func NewInside() *Inside {
	return &Inside{Interfaces: remembered(networksLast, interfacePrefixes)}
}

// network is a network that an interface of this machine is in.
type network struct {
	own    netip.Prefix // this machine's own address there, with the network's length
	served bool         // clients come to an address of the interface
}

// Has says whether a client at this address proves nothing.
func (h *Inside) Has(client netip.Addr) bool {
	if client.IsLoopback() || slices.Contains(h.Told, client) {
		return true
	}
	interfaces, err := h.Interfaces()
	return err != nil || isNear(client, listNetworks(interfaces, h.Served)) // without a list of networks, nothing is proved
}

// isNear needs the longest networks first: a client belongs to the longest network that has its address.
func isNear(client netip.Addr, networks []network) bool {
	for _, n := range networks {
		if n.own.Addr() == client {
			return true
		}
	}
	i := slices.IndexFunc(networks, func(n network) bool { return n.own.Contains(client) })
	return i >= 0 && !networks[i].served
}

// listNetworks takes the prefixes of each interface. If it is not known which addresses serve, all may.
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

// interfacePrefixes lists the addresses of each interface.
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

// remembered returns the last result of ask, and calls ask again when that result is too old. An error is not
// remembered.
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
