package lans

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"lkhub/engine/internal/enginetest"
)

func TestWhatIsHiddenFromAClient(t *testing.T) {
	machine := []string{
		"127.0.0.1/8 ::1/128",
		"192.168.1.5/24 192.168.1.77/24 fd00:1::5/64 fe80::5/64",
		"10.9.0.2/24 fd00:2::2/64 fe80::2/64",
		"192.168.1.6/24",                           // Wi-Fi, in the same LAN as the cable
		"172.17.0.1/16",                            // docker0
		"100.101.102.103/32 fd7a:115c::7/128",      // tailscale0
		"10.0.0.1/8",                               // a VPN around the second LAN
		"203.0.113.5/24 2001:db8::5/64 fe80::7/64", // the internet
	}
	const lan, both = "192.168.1.5 fd00:1::5", "192.168.1.5 fd00:1::5 10.9.0.2"
	for _, c := range []struct{ client, told, Hidden string }{
		{"192.168.1.20", both, "10.9.0.2"},
		{"::ffff:192.168.1.20", both, "10.9.0.2"},
		{"fd00:1::20", both, "10.9.0.2"},
		{"10.9.0.3", both, lan},
		{"fd00:2::20", both, lan}, // gets no address of its own family, but the address of its LAN
		{"192.168.1.20", "192.168.1.5 192.168.1.6 10.9.0.2", "10.9.0.2"},
		{"192.168.1.20", "192.168.1.6 10.9.0.2", "10.9.0.2"},
		{"192.168.1.20", "192.168.1.5 100.101.102.103", "100.101.102.103"},
		{"100.64.0.9", "192.168.1.5 100.101.102.103", ""}, // in the tailnet, not in a network of this machine
		{"172.17.0.9", both, ""},                          // a container
		{"10.6.0.3", both, ""},                            // the VPN
		{"198.51.100.7", both, ""},
		{"2001:db8:1::7", both, ""},
		{"127.0.0.1", both, ""},
		{"192.168.1.5", both, ""}, // this machine reaches itself at every address
		{"192.168.1.77", both, ""},
		{"fe80::20", both, ""}, // may be in any of the networks
		{"fe80::20%eth0", both, ""},
		{"192.168.1.20", lan, ""},
		{"192.168.1.20", "192.168.1.5 198.51.100.1", ""}, // the router's address is in no LAN
		{"192.168.1.20", "192.168.1.5 203.0.113.5", "203.0.113.5"},
		{"198.51.100.7", "192.168.1.5 203.0.113.5", ""},
		{"192.168.1.20, 198.51.100.7", both, ""},
		{"", both, ""},
	} {
		l := Networks{enginetest.ParseAddresses(c.told), func() ([][]netip.Prefix, error) { return enginetest.ParsePrefixes(machine...), nil }}
		if got := l.HiddenFrom(c.client); !slices.Equal(got, enginetest.ParseAddresses(c.Hidden)) {
			t.Errorf("from %q, of %s: hidden is %v, want [%s]", c.client, c.told, got, c.Hidden)
		}
	}
}

func TestNothingIsHiddenWhereInterfacesAreUnknown(t *testing.T) {
	l := Networks{enginetest.ParseAddresses("192.168.1.5 10.9.0.2"), func() ([][]netip.Prefix, error) { return nil, errors.New("no netlink") }}
	if got := l.HiddenFrom("192.168.1.20"); got != nil {
		t.Errorf("%v", got)
	}
}

// For every machine: some address is left, the order of the interfaces does not matter, and every hidden address is a
// told address of this machine that is not in the client's own network.
func TestSomethingIsAlwaysLeft(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	address := func() netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(random.IntN(3)), byte(random.IntN(4))}) }
	seen := 0
	for range 20_000 {
		var interfaces [][]netip.Prefix
		told := []netip.Addr{netip.MustParseAddr("203.0.113.5")}
		for range 1 + random.IntN(4) {
			var prefixes []netip.Prefix
			for range random.IntN(3) {
				prefix := netip.PrefixFrom(address(), []int{8, 16, 24, 30, 32}[random.IntN(5)])
				prefixes = append(prefixes, prefix)
				if random.IntN(2) == 0 {
					told = append(told, prefix.Addr())
				}
			}
			interfaces = append(interfaces, prefixes)
		}
		client := address()
		got := hide(client, interfaces, told)
		about := fmt.Sprintf("client %v, interfaces %v, told %v: hidden %v", client, interfaces, told, got)
		if len(got) > 0 {
			seen++
		}
		for _, each := range got {
			if !slices.Contains(told, each) || each == told[0] {
				t.Fatal(about)
			}
		}
		isReached := func(prefixes []netip.Prefix) bool {
			isNear := slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(client) })
			return isNear && slices.ContainsFunc(prefixes, func(p netip.Prefix) bool {
				return slices.Contains(told, p.Addr()) && !slices.Contains(got, p.Addr())
			})
		}
		if len(got) > 0 && !slices.ContainsFunc(interfaces, isReached) {
			t.Fatal(about)
		}
		slices.Reverse(interfaces)
		again := hide(client, interfaces, told)
		slices.SortFunc(again, netip.Addr.Compare)
		slices.SortFunc(got, netip.Addr.Compare)
		if !slices.Equal(got, again) {
			t.Fatal(about)
		}
	}
	if seen < 1000 {
		t.Errorf("something was hidden %d times", seen)
	}
}
