package seen

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"
	"time"
)

func neverInside(netip.Addr) bool { return false }

func TestHomeIsThisMachineAndItsNetworksThatClientsAreNotToldOf(t *testing.T) {
	interfaces := map[string][]string{
		"lo":      {"127.0.0.1/8", "::1/128"},
		"eth0":    {"192.168.1.5/24", "2001:db8::5/64", "fe80::5/64"},
		"eth1":    {"10.9.0.2/24"},
		"docker0": {"172.17.0.1/16", "fe80::1/64"},
		"wg0":     {"10.0.0.1/8"},
	}
	var all [][]netip.Prefix
	for _, texts := range interfaces {
		var prefixes []netip.Prefix
		for _, text := range texts {
			prefixes = append(prefixes, netip.MustParsePrefix(text))
		}
		all = append(all, prefixes)
	}
	served := []netip.Addr{netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("10.9.0.2")}
	for _, c := range []struct {
		client        string
		near, unknown bool // near; and near if it is not known which address serves
	}{
		{"192.168.1.5", true, true},
		{"172.17.0.1", true, true},
		{"2001:db8::5", true, true},
		{"172.17.0.9", true, false},
		{"10.6.0.3", true, false},
		{"192.168.1.20", false, false},
		{"2001:db8::20", false, false},
		{"fe80::20", false, false}, // of two equal networks, the network that serves
		{"10.9.0.3", false, false}, // the longer of two networks
		{"203.0.113.7", false, false},
		{"2001:db8:1::7", false, false},
	} {
		client := netip.MustParseAddr(c.client)
		if near := isNear(client, listNetworks(all, served)); near != c.near {
			t.Errorf("%s: near %v", c.client, near)
		}
		if near := isNear(client, listNetworks(all, nil)); near != c.unknown {
			t.Errorf("%s, without an address that serves: near %v", c.client, near)
		}
	}
}

func TestHomeAsksThisMachine(t *testing.T) {
	h := NewInside()
	h.Told = []netip.Addr{netip.MustParseAddr("203.0.113.5")}
	own, err := interfacePrefixes()
	if err != nil {
		t.Fatal(err)
	}
	for _, prefixes := range own {
		for _, prefix := range prefixes {
			if !h.Has(prefix.Addr()) {
				t.Errorf("%s is an address of this machine", prefix.Addr())
			}
		}
	}
	for client, want := range map[string]bool{"127.0.0.9": true, "203.0.113.5": true, "203.0.113.6": false} {
		if got := h.Has(netip.MustParseAddr(client)); got != want {
			t.Errorf("%s: %v", client, got)
		}
	}
}

func TestAnAnswerIsRememberedForAWhile(t *testing.T) {
	asked, failure := 0, errors.New("no netlink")
	ask := func() (int, error) { asked++; return asked, failure }
	long := remembered(time.Hour, ask)
	if _, err := long(); err != failure {
		t.Errorf("%v", err)
	}
	failure = nil
	for range 2 {
		if got, err := long(); got != 2 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
	}
	never := remembered(-time.Second, ask)
	for want := 3; want < 5; want++ {
		if got, err := never(); got != want || err != nil {
			t.Errorf("%d, %v, want %d", got, err, want)
		}
	}
}

func TestTheLastUseOfEachPathIsKept(t *testing.T) {
	s := New(func(client netip.Addr) bool { return client == netip.MustParseAddr("192.168.1.5") })
	start := time.UnixMilli(1_795_265_734_900)
	for _, use := range []struct {
		path, client string
		after        time.Duration
	}{
		{"udp", "198.51.100.1", 0},
		{"udp", "::ffff:203.0.113.7", 2 * time.Second},
		{"udp", "198.51.100.2", time.Second}, // reported after a later use
		{"udp", "::ffff:192.168.1.5", 3 * time.Second},
		{"tcp", "fe80::7%eth0", 0},
	} {
		s.Note(use.path, netip.MustParseAddr(use.client), start.Add(use.after))
	}
	got, err := json.Marshal(s.Proven())
	const want = `{"tcp":{"at":1795265734.9,"address":"fe80::7"},"udp":{"at":1795265736.9,"address":"203.0.113.7"}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}
