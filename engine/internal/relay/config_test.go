package relay

import (
	"strings"
	"testing"

	"lkhub/engine/internal/enginetest"
)

func TestRelayConfigSaysWhatIsWrong(t *testing.T) {
	good := enginetest.RelayJSON("127.0.0.1:3478", "/s")
	behind := func(translations string) string {
		return strings.Replace(good, `"quota"`, `"translate": [`+translations+`], "quota"`, 1)
	}
	for _, c := range []struct {
		name, from, to string
		says           []string
	}{
		{"as rendered", "", "", nil},
		{"an unknown key", `"quota"`, `"quoat"`, []string{"quoat"}},
		{"no JSON", good, "listen: x", []string{"invalid character"}},
		{"more than one", "24}", "24} {}", []string{"something stands after"}},
		{"a name for an address", "127.0.0.1:3478", "localhost:3478", []string{"localhost"}},
		{"a port too high", "39999", "70000", []string{"relay_ports.max"}},
		{"no port", "127.0.0.1:3478", "127.0.0.1:0", []string{"listen: 127.0.0.1:0 has no port"}},
		{"any address", `"relay_address": "127.0.0.1"`, `"relay_address": "0.0.0.0"`, []string{"relay_address must be one address"}},
		{"a range turned round", "30000", "40000", []string{"relay_ports: min and max"}},
		{"a peer among the relay ports", `"max": 7882`, `"max": 30000`, []string{"share ports with the peer 127.0.0.1"}},
		{"no peers", `[{"address": "127.0.0.1", "min": 7882, "max": 7882}]`, "[]", []string{"peers is missing"}},
		{"no address", `["127.0.0.1:3478"]`, "[]", []string{"listen is missing"}},
		{"a peer behind a NAT", good, behind(`{"advertised": "127.0.0.1", "local": "192.168.1.2"}`), nil},
		{"half a translation", good, behind(`{"advertised": "127.0.0.1"}`), []string{"translate: each entry needs"}},
		{"two families", good, behind(`{"advertised": "127.0.0.1", "local": "::1"}`), []string{"127.0.0.1 and ::1 are of different families"}},
		{"a translation of no peer, twice, to itself", good,
			behind(`{"advertised": "1.1.1.1", "local": "1.1.1.1"}, {"advertised": "1.1.1.1", "local": "1.1.1.2"}`),
			[]string{"1.1.1.1 is no peer", "1.1.1.1 is given twice", "1.1.1.1 is translated to itself"}},
		{"a peer that is translated among the relay ports", good,
			strings.NewReplacer(`"peers": [{"address": "127.0.0.1"`, `"peers": [{"address": "1.1.1.1"`, `"max": 7882`, `"max": 30000`).Replace(
				behind(`{"advertised": "1.1.1.1", "local": "127.0.0.1"}`)),
			[]string{"share ports with the peer 1.1.1.1"}},
		{"all at once", good, "{}", []string{"listen is missing", "realm is missing", "secret_file is missing", "relay_address", "relay_ports", "peers is missing", "quota"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, c.from, c.to, 1)
			_, err := parseConfig("relay.json", text, true)
			if (err != nil) != (c.says != nil) {
				t.Fatalf("error %v", err)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
		})
	}
}
