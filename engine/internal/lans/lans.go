// Package lans has each client told the addresses of its own LAN alone, on a machine that is in several.
package lans

import (
	"net/netip"
	"slices"
)

// Networks are the networks in which clients are told an address of this machine. Upstream tells all addresses to everybody,
// but who is in one LAN can't reach the address in the other.
type Networks struct {
	told       []netip.Addr                     // to all clients together
	interfaces func() ([][]netip.Prefix, error) // the addresses of each interface, with the network's length
}

// New is for these addresses; interfaces lists the addresses of each interface, with the network's length.
func New(told []netip.Addr, interfaces func() ([][]netip.Prefix, error)) Networks {
	return Networks{told, interfaces}
}

// HiddenFrom says which of the told addresses a client is not to be told. Where its own is no single address, or the
// interfaces can't be listed, it is told everything.
func (l Networks) HiddenFrom(client string) Hidden {
	address, err := netip.ParseAddr(client)
	if err != nil {
		return nil
	}
	interfaces, err := l.interfaces()
	if err != nil {
		return nil
	}
	return hide(address.Unmap().WithZone(""), interfaces, l.told)
}

// hide returns those of the told addresses that are on other interfaces than the one in whose network the client is: of
// overlapping networks the longest, and of equal ones, such as cable and Wi-Fi in one LAN, each. Nothing is hidden from
// this machine itself, nor where no told address is on the client's interface: whom somebody reaches who comes through
// a router or a VPN is not known here.
func hide(client netip.Addr, interfaces [][]netip.Prefix, told []netip.Addr) Hidden {
	longest := 0
	for _, prefix := range slices.Concat(interfaces...) {
		if prefix.Addr() == client {
			return nil
		}
		if prefix.Contains(client) {
			longest = max(longest, prefix.Bits())
		}
	}
	var near, far []netip.Addr
	for _, prefixes := range interfaces {
		isNear := slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Bits() == longest && p.Contains(client) })
		for _, prefix := range prefixes {
			switch {
			case !slices.Contains(told, prefix.Addr()):
			case isNear:
				near = append(near, prefix.Addr())
			default:
				far = append(far, prefix.Addr())
			}
		}
	}
	if len(near) == 0 {
		return nil
	}
	return slices.DeleteFunc(far, func(each netip.Addr) bool { return slices.Contains(near, each) })
}
