package judge

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lkhub/engine/internal/enginetest"
)

// Each message is "line: a part of its text", with line 0 for none, in any order.
func TestCheckConfigSaysEverything(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	long := strings.Repeat("s", 32)
	for _, c := range []struct {
		name string
		text string
		want []string
	}{
		{"as rendered", enginetest.LiveKitYAML("7880", "7882", file("keys.yaml", "APIkey: "+long, 0o600),
			"{host: 127.0.0.1, port: 3478, protocol: udp, secret_file: "+file("relay.secret", "secret", 0o600)+"}"), nil},
		{"nothing", "", []string{"0: one of key-file or keys"}},
		{"comments", "# only\n", []string{"0: one of key-file or keys"}},
		{"no network for an external address", enginetest.GoodKeys + "rtc: {use_external_ip: true}", nil},
		{"a port range beside a UDP port", enginetest.GoodKeys + "rtc: {udp_port: 7882, port_range_start: 50000, port_range_end: 60000}", nil},
		{"all unknown keys", enginetest.GoodKeys + "prot: 1\nrtc:\n  udpport: 2\n  tcp_port: x\n", []string{
			"2: field prot not found", "4: field udpport not found", "5: cannot unmarshal !!str `x` into uint32"}},
		{"the values that upstream decodes itself", enginetest.GoodKeys + "rtc:\n  udp_port: 70a\n  node_ip: here\n  nope: 1\n", []string{
			"3: rtc.udp_port: invalid port 70a", "4: rtc.node_ip: invalid ip here", "5: field nope"}},
		{"the same in flow style", enginetest.GoodKeys + "rtc: {udp_port: 70a, nope: 1}\n", []string{"2: rtc.udp_port: invalid port 70a", "2: field nope"}},
		{"quoted", enginetest.GoodKeys + "rtc: {udp_port: '70a', node_ip: \"x\\x41\", nope: 1}\n", []string{"2: rtc.udp_port: invalid port 70a", "2: rtc.node_ip: invalid ip xA"}},
		{"a range turned round", enginetest.GoodKeys + "rtc: {udp_port: 60-50}", []string{"2: rtc.udp_port: end port 50 must be greater"}},
		{"a duplicate", enginetest.GoodKeys + "port: 1\nport: 2\n", []string{"3: mapping key \"port\" already defined at line 2"}},
		{"a tab", enginetest.GoodKeys + "rtc:\n\tudp_port: 1\n", []string{"3: found character that cannot start any token"}},
		{"no space in keys", "keys:\n  APIkey:" + long + "\n", []string{"2: cannot unmarshal !!str into map[string]string"}},
		{"keys as a list", "keys:\n  - APIkey: " + long + "\n", []string{"2: cannot unmarshal !!seq into map[string]string"}},
		{"a short secret", "keys:\n  APIkey: short\n", []string{"2: keys: a secret is too short: 5 characters"}},
		{"the pair that everybody knows", "keys:\n  devkey: secret\n", nil},
		{"its secret with another key", "keys:\n  APIkey: secret\n", []string{"2: keys: a secret is too short: 6 characters"}},
		{"an empty secret", "keys:\n  APIkey: \"\"\n", []string{"2: keys: a secret is empty"}},
		{"swapped", "keys: {" + long + ": APIkey}\n", []string{"1: keys: key and secret look swapped"}},
		{"no keys", "keys: {}\n", []string{"1: one of key-file or keys"}},
		{"development needs none", "development: true", nil},
		{"no key file", "port: 1\nkey_file: /nowhere", []string{"2: key_file: stat /nowhere"}},
		{"an open key file", "key_file: " + file("open.yaml", "APIkey: "+long, 0o644), []string{"1: key_file: " + dir + "/open.yaml may be read by others; chmod"}},
		{"a key file of the wrong form", "key_file: " + file("form.yaml", "APIkey:"+long, 0o600), []string{"1: key_file: "}},
		{"a short secret in the key file", "key_file: " + file("short.yaml", "APIkey: short", 0o600), []string{"1: key file " + dir + "/short.yaml: a secret is too short"}},
		{"no relay secret", enginetest.GoodKeys + "rtc:\n  turn_servers:\n    - host: h\n      secret_file: /nowhere\n", []string{"5: rtc.turn_servers: stat /nowhere"}},
		{"an empty relay secret", enginetest.GoodKeys + "rtc: {turn_servers: [{secret_file: " + file("empty", "\n", 0o600) + "}]}", []string{"2: rtc.turn_servers: " + dir + "/empty holds no secret"}},
		{"a relay without a login", enginetest.GoodKeys + "rtc:\n  turn_servers:\n    - host: h\n      username: u\n", []string{"4: rtc.turn_servers: a server without usable credentials"}},
		{"a relay with a login in a file", enginetest.GoodKeys + "rtc: {turn_servers: [{host: h, credentials_file: " + file("login", "username: u\ncredential: c\n", 0o600) + "}]}", nil},
		{"half a login in a file", enginetest.GoodKeys + "rtc: {turn_servers: [{host: h, credentials_file: " + file("half", "username: u\n", 0o600) + "}]}", []string{"2: rtc.turn_servers: a server without usable credentials"}},
		{"a login of the wrong form", enginetest.GoodKeys + "rtc: {turn_servers: [{host: h, credentials_file: " + file("list", "- "+long, 0o600) + "}]}", []string{"2: rtc.turn_servers: " + dir + "/list is not of the form"}},
		{"an open login", enginetest.GoodKeys + "rtc: {turn_servers: [{host: h, credentials_file: " + file("open-login", "username: u\ncredential: c\n", 0o644) + "}]}", []string{"2: rtc.turn_servers: " + dir + "/open-login may be read by others"}},
		{"a login beside an unreadable file of one", enginetest.GoodKeys + "rtc: {turn_servers: [{host: h, username: u, credential: c, credentials_file: /nowhere}]}", nil},
		{"a pacer", enginetest.GoodKeys + "rtc:\n  congestion_control:\n    send_side_bwe_pacer: fast\n", []string{"4: rtc.congestion_control: invalid send_side_bwe_pacer"}},
		{"half a login for metrics", enginetest.GoodKeys + "prometheus: {port: 6789, username: u}", []string{"2: prometheus: username and password belong together"}},
		{"WebTransport without a certificate", enginetest.GoodKeys + "webtransport: {port: 443}", []string{"2: webtransport: webtransport requires webtransport.tls_cert_file"}},
		{"TURN for impossible networks", enginetest.GoodKeys + "turn:\n  enabled: true\n  udp_port: 3478\n  deny_peer_cidrs: [10.0.0.1, 10.0.0.0/8]\n", []string{"5: turn.deny_peer_cidrs: invalid CIDR address"}},
		{"TURN behind a proxy that is not trusted", enginetest.GoodKeys + "turn: {enabled: true, tls_port: 5349, domain: a.example, external_tls: true, proxy_protocol: true, proxy_protocol_trusted_cidrs: []}", []string{"2: turn.proxy_protocol needs an entry"}},
		{"webhooks without a key", enginetest.GoodKeys + "webhook: {urls: [http://127.0.0.1:1]}", []string{"2: api_key is required to use webhooks"}},
		{"webhooks with a key", enginetest.GoodKeys + "webhook: {urls: [http://127.0.0.1:1], api_key: APIkey}", nil},
		{"TURN without ports", enginetest.GoodKeys + "turn: {enabled: true}", []string{"2: invalid TURN ports"}},
		{"TURN/TLS without domain and certificate", enginetest.GoodKeys + "turn:\n  enabled: true\n  tls_port: 5349\n", []string{"4: TURN domain required", "3: TURN tls cert required"}},
		{"TURN with half a domain", enginetest.GoodKeys + "turn: {enabled: true, tls_port: 5349, domain: localhost, external_tls: true}", []string{"2: TURN domain is not correct"}},
		{"TURN on a family without a node IP", enginetest.GoodKeys + "rtc: {node_ip: 10.0.0.1}\nturn: {enabled: true, udp_port: 3478, bind_addresses: [\"::\"]}", []string{"3: no matching node IP for relay"}},
		{"TURN off", enginetest.GoodKeys + "turn: {enabled: false, tls_port: 5349}", nil},
		{"a node selector", enginetest.GoodKeys + "node_selector: {kind: best}", []string{"2: node_selector: unsupported node selector"}},
		{"TCP alone and off", enginetest.GoodKeys + "rtc: {force_tcp: true, tcp_port: 0}", []string{"2: TCP is forced but not configured"}},
		{"bound nowhere", enginetest.GoodKeys + "bind_addresses: []", []string{"2: bind_addresses is empty"}},
		{"impossible ports", enginetest.GoodKeys + "port: 70000\nrtc:\n  udp_port: 7882-70000\n  tcp_port: 0\n", []string{"2: port: 70000 is no port", "4: rtc.udp_port: 70000 is no port"}},
		{"port 0", enginetest.GoodKeys + "port: 0", []string{"2: port: 0 is no port"}},
		{"an address filter", enginetest.GoodKeys + "rtc: {ips: {includes: [10.0.0.1]}}", []string{"2: rtc.ips: invalid CIDR address"}},
		{"a room configuration", enginetest.GoodKeys + "room: {room_configurations: {a: {nope: 1}}}", []string{"0: "}},
		{"parse and judgement together", "prot: 1\nturn: {enabled: true}\n", []string{"1: field prot", "0: one of key-file", "2: invalid TURN ports"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Check(c.text)
			if len(got) != len(c.want) {
				t.Fatalf("%d messages, want %d: %s", len(got), len(c.want), show(got))
			}
			for _, want := range c.want {
				if !strings.Contains("\n"+show(got), "\n"+want) {
					t.Errorf("no message %q in\n%s", want, show(got))
				}
			}
			if text := show(got); strings.Contains(text, long) || strings.Contains(text, long[:7]) {
				t.Errorf("a secret is shown:\n%s", text)
			}
		})
	}
}

func show(found Messages) string {
	var text strings.Builder
	for _, m := range found {
		line := 0
		if m.Line != nil {
			line = *m.Line
		}
		fmt.Fprintf(&text, "%d: %s\n", line, m.Text)
	}
	return text.String()
}

// The corpus of a fuzzer: for all inputs there is an answer and no panic.
func FuzzCheckConfig(f *testing.F) {
	for _, seed := range []string{
		"", "a: &a [*a]", "rtc:\r  udp_port: x", "rtc: &r {node_ip: *r}", "\ufeffrtc: {udp_port: !!binary x}",
		"rtc:\u2028  udp_port: x", "rtc: {udp_port: [1]}", "keys: [", "\xff\xfe", "rtc: {node_ip: \"a\\\nb\"}", "? [a]\n: b",
		"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]", "--- a\n--- b", "rtc: {<<: {udp_port: x}}", "key_file: $HOME",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := json.Marshal(Check(text)); err != nil {
			t.Error(err)
		}
	})
}

func TestUnknownKeyComesWithThoseThatThereAre(t *testing.T) {
	for text, want := range map[string]string{
		"rooms: {}\n":                                   "room",
		"room: {max_participant: 1}\n":                  "max_participants",
		"rtc: {udpport: 1}\n":                           "udp_port", // in the part that is included with `inline`
		"rtc: {congestion_control: {enabld: true}}\n":   "enabled",
		"room: {enabled_codecs: [{mim: audio/opus}]}\n": "mime",
	} {
		found := Check(enginetest.GoodKeys + text)
		if len(found) != 1 || !slices.Contains(found[0].Known, want) {
			t.Errorf("%s: %s knows %v, not %s", text, show(found), found[0].Known, want)
		}
		// No proposed key is one that the parser would refuse.
		for _, key := range found[0].Known {
			if key == "-" || key == "" {
				t.Errorf("%s: a key is %q", text, key)
			}
		}
	}
}
