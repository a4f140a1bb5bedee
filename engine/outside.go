package main

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// sightings tell when and from where clients on other machines last used each path. Nothing on this machine can prove a
// way in: packets to one's own address meet neither the router nor the cloud's firewall.
type sightings struct {
	isHome func(netip.Addr) bool // whether a client proves nothing about the way in

	mu       sync.Mutex
	last     map[string]sighting // by path, of clients that were first to send
	doubtful map[string]sighting // by path, of clients that were sent to first: the way may have been open to them alone
}

type sighting struct {
	At      float64    `json:"at"` // seconds since 1970
	Address netip.Addr `json:"address"`
}

func newSightings(isHome func(netip.Addr) bool) *sightings {
	return &sightings{isHome: isHome, last: map[string]sighting{}, doubtful: map[string]sighting{}}
}

// note records the use of a path by a client that was the first to send, which proves that others get in.
func (s *sightings) note(path string, client netip.Addr, at time.Time) {
	s.keep(s.last, path, client, at)
}

// noteUnproven records the use of a path by a client that was sent to first.
func (s *sightings) noteUnproven(path string, client netip.Addr, at time.Time) {
	s.keep(s.doubtful, path, client, at)
}

func (s *sightings) keep(last map[string]sighting, path string, client netip.Addr, at time.Time) {
	client = client.Unmap().WithZone("")
	if s.isHome(client) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if seconds := float64(at.UnixMilli()) / 1000; seconds > last[path].At {
		last[path] = sighting{seconds, client}
	}
}

// proven are the last uses that prove the way in, by path.
func (s *sightings) proven() map[string]sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.last)
}

// unproven are the last uses that do not, by path.
func (s *sightings) unproven() map[string]sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.doubtful)
}

// networksLast is how long the list of interfaces is good for. To make it costs a millisecond, and containers and VPNs
// come and go with less haste.
const networksLast = 10 * time.Second

// home is where clients prove nothing: this machine, and networks of it that clients are not told of, such as those of
// its containers.
type home struct {
	served []netip.Addr // this machine's addresses that clients come to; none: not known
	told   []netip.Addr // what clients are told for them

	interfaces func() ([][]netip.Prefix, error) // what this machine is in
}

func newHome() *home {
	return &home{interfaces: remembered(networksLast, interfacePrefixes)}
}

// network is one that an interface of this machine is in.
type network struct {
	own    netip.Prefix // this machine's own address there, with the network's length
	served bool         // clients come to an address of the interface
}

func (h *home) has(client netip.Addr) bool {
	if client.IsLoopback() || slices.Contains(h.told, client) {
		return true
	}
	interfaces, err := h.interfaces()
	return err != nil || isNear(client, listNetworks(interfaces, h.served)) // where it can't be told, nothing is proved
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
