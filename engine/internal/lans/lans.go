// Package lans tells each client only the addresses of its own LAN, on a machine that is in several.
package lans

import (
	"net/netip"
	"slices"
)

// Networks are the networks in which clients are told an address of this machine. Upstream tells every client all
// addresses, but a client in one LAN can't reach the address in another.
type Networks struct {
	told       []netip.Addr                     // the addresses that all clients together are told
	interfaces func() ([][]netip.Prefix, error) // the addresses of each interface, with the network's length
}

// New takes the told addresses. interfaces lists the addresses of each interface, with the network's length.
func New(told []netip.Addr, interfaces func() ([][]netip.Prefix, error)) Networks {
	return Networks{told, interfaces}
}

// HiddenFrom returns the told addresses that this client must not be told. It hides nothing if the client's address is
// not a single one, or if the interfaces can't be listed.
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

// hide returns the told addresses that are not on the client's interface. The client's interface is the one in whose
// network the client is: of overlapping networks the longest. Equal networks, such as cable and Wi-Fi in one LAN, all
// count. Nothing is hidden from this machine itself. Nothing is hidden either if no told address is on the client's
// interface: the client comes through a router or a VPN, and which addresses it reaches is not known here.
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
