package judge

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"lkhub/engine/internal/enginetest"
)

// wrong has a livekit.yaml for every code but BadRTC: apart from asking other servers for an address, upstream checks
// nothing there so far.
var wrong = map[Code]string{
	Syntax:             "rtc:\n\tudp_port: 1\n",
	UnknownKey:         enginetest.GoodKeys + "prot: 1\n",
	WrongType:          enginetest.GoodKeys + "port: x\n",
	BadValue:           enginetest.GoodKeys + "rtc: {udp_port: 70a}\n",
	BadPort:            enginetest.GoodKeys + "port: 70000\n",
	NoAddress:          enginetest.GoodKeys + "bind_addresses: []\n",
	BadPacer:           enginetest.GoodKeys + "rtc: {congestion_control: {send_side_bwe_pacer: fast}}\n",
	HalfLogin:          enginetest.GoodKeys + "prometheus: {port: 6789, username: u}\n",
	BadWebTransport:    enginetest.GoodKeys + "webtransport: {port: 443}\n",
	TCPForcedOff:       enginetest.GoodKeys + "rtc: {force_tcp: true, tcp_port: 0}\n",
	BadAddresses:       enginetest.GoodKeys + "rtc: {ips: {includes: [10.0.0.1]}}\n",
	BadNodeSelector:    enginetest.GoodKeys + "node_selector: {kind: best}\n",
	BadKeyFile:         "key_file: /nowhere\n",
	NoKeys:             "keys: {}\n",
	WeakKey:            "keys: {APIkey: short}\n",
	NoWebhookKey:       enginetest.GoodKeys + "webhook: {urls: [http://127.0.0.1:1]}\n",
	BadTURNSecret:      enginetest.GoodKeys + "rtc: {turn_servers: [{host: h, secret_file: /nowhere}]}\n",
	NoTURNCredentials:  enginetest.GoodKeys + "rtc: {turn_servers: [{host: h, username: u}]}\n",
	NoTURNPort:         enginetest.GoodKeys + "turn: {enabled: true}\n",
	NoTURNDomain:       enginetest.GoodKeys + "turn: {enabled: true, tls_port: 5349, external_tls: true}\n",
	BadTURNDomain:      enginetest.GoodKeys + "turn: {enabled: true, tls_port: 5349, domain: localhost, external_tls: true}\n",
	NoTrustedProxy:     enginetest.GoodKeys + "turn: {enabled: true, tls_port: 5349, domain: a.example, external_tls: true, proxy_protocol: true, proxy_protocol_trusted_cidrs: []}\n",
	BadTURNCertificate: enginetest.GoodKeys + "turn: {enabled: true, tls_port: 5349, domain: a.example}\n",
	BadCIDR:            enginetest.GoodKeys + "turn: {enabled: true, udp_port: 3478, deny_peer_cidrs: [10.0.0.1]}\n",
	NoNodeIP:           enginetest.GoodKeys + "rtc: {node_ip: 10.0.0.1}\nturn: {enabled: true, udp_port: 3478, bind_addresses: [\"::\"]}\n",
}

func TestEveryComplaintHasItsCode(t *testing.T) {
	for code, text := range wrong {
		found := Check(text)
		if len(found) != 1 || found[0].Code != code {
			t.Errorf("%s: %+v", code, found)
		}
	}
}

func TestEveryCodeIsTried(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			code, _ := strconv.Unquote(literal.Value)
			if _, tried := wrong[Code(code)]; !tried && Code(code) != BadRTC || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz-") != "" {
				t.Errorf("no livekit.yaml for %q", code)
			}
		}
		return true
	})
}
