package portmap

import (
	"net/netip"
	"slices"
	"testing"
)

const routes = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
wlan0	00000000	FE01A8C0	0003	0	0	600	00000000	0	0	0
eth0	00000000	0101A8C0	0003	0	0	100	00000000	0	0	0
tun0	00000000	00000000	0001	0	0	50	00000000	0	0	0
eth0	0001A8C0	00000000	0001	0	0	100	00FFFFFF	0	0	0
`

func addresses(texts ...string) []netip.Addr {
	found := []netip.Addr{}
	for _, text := range texts {
		found = append(found, netip.MustParseAddr(text))
	}
	return found
}

func TestGatewaysAreThoseOfDefaultRoutesTheBestFirst(t *testing.T) {
	if got := readRoutes(routes); !slices.Equal(got, addresses("192.168.1.1", "192.168.1.254")) {
		t.Error(got)
	}
	for _, none := range []string{"", "Iface	Destination\n", "eth0 00000000 x 0003 0 0 1 00000000\n", "eth0 00000000\n"} {
		if got := readRoutes(none); len(got) != 0 {
			t.Errorf("%q: %v", none, got)
		}
	}
}

func TestGatewayOfMacOS(t *testing.T) {
	said := "   route to: default\ndestination: default\n       mask: default\n    gateway: 192.168.1.1\n  interface: en0\n"
	if got := readRouteGet(said); !slices.Equal(got, addresses("192.168.1.1")) {
		t.Error(got)
	}
	for _, none := range []string{"", "    gateway: link#12\n", "    gateway: 1.2.3.4.5\n"} {
		if got := readRouteGet(none); got != nil {
			t.Errorf("%q: %v", none, got)
		}
	}
}

func TestMachineWithoutARouterSaysSo(t *testing.T) {
	if _, failure := findUplink(nil); failure == nil || failure.Code != NoRouter {
		t.Error(failure)
	}
	found, failure := findUplink(addresses("127.0.0.1"))
	if failure != nil || found.local != netip.MustParseAddr("127.0.0.1") {
		t.Error(found, failure)
	}
}
