package main

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/certtest"
	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/relay"
)

// The hub's own probe, on a machine that can't reach itself by the address that clients are told, nor by its name.
func TestProbeBehindANATWithoutHairpin(t *testing.T) {
	if !enginetest.WithAddresses(t, "10.77.0.5/32") {
		return
	}
	authority := certtest.NewAuthority(t, "Hub CA")
	udp, tcp := enginetest.FreePort(t), enginetest.FreePort(t)
	hubRelay, relayAddress := startRelay(t, loopbackPort(t, udp), 24, func(r *testRelay) {
		local, told := netip.MustParseAddr("10.77.0.5"), netip.MustParseAddr("203.0.113.5")
		r.config.RelayAddress, r.config.Peers[0].Address, r.config.Translate = local, told, relay.Translations{{Advertised: told, Local: local}}
		r.config.Listen[0] = netip.AddrPortFrom(local, r.config.Listen[0].Port())
	})
	_, relayPort, _ := net.SplitHostPort(relayAddress)
	tlsPort := startTLS(t, authority.Issue(t, []string{hubName}, nil), toRelay(hubRelay))
	servers := turnServer(t, "203.0.113.5", relayPort, "udp") + ", " + turnServer(t, hubName, tlsPort, "tls")
	server := startSFU(t, udp, tcp, servers, "10.77.0.5=203.0.113.5")

	request := hubRequest(server.URL, authority.File(t), enough)
	request.Resolve["203.0.113.5"] = "10.77.0.5"
	results, code := runProbeWith(t, request, calltest.Secret, 2, "udp", "tcp", "turn-udp", "turn-tls")
	if code != failure.ExitOK || len(results) != 4 {
		t.Fatalf("exit code %d: %+v", code, results)
	}
	for path, remote := range map[string]string{
		"udp": "udp host 10.77.0.5:" + udp, "tcp": "tcp host 10.77.0.5:" + tcp,
		"turn-udp": "udp host 203.0.113.5:" + udp, "turn-tls": "udp host 203.0.113.5:" + udp, // by the relay's translation
	} {
		if got := results[path]; verdict(got) != "true media" || *got.Remote != remote {
			t.Errorf("%s to %s: %+v", path, *got.Remote, got)
		}
	}
	delete(request.Resolve, "203.0.113.5")
	request.TimeoutMS = int(short.Milliseconds())
	// Over UDP the server would find the client.
	results, _ = runProbeWith(t, request, calltest.Secret, 2, "tcp")
	if got := results["tcp"]; verdict(got) != "false connect" {
		t.Errorf("203.0.113.5 is reachable by itself: %+v", got)
	}
}

func TestProbeOfAHubWithIPv6Alone(t *testing.T) {
	if !enginetest.WithAddresses(t, "fd77::5/128") {
		return
	}
	authority := certtest.NewAuthority(t, "Hub CA")
	udp, tcp := enginetest.FreePortAt(t, "fd77::5"), enginetest.FreePortAt(t, "fd77::5")
	relay, relayAddress := startRelay(t, net.UDPAddrFromAddrPort(netip.MustParseAddrPort("[fd77::5]:"+udp)), 24)
	_, relayPort, _ := net.SplitHostPort(relayAddress)
	tlsPort := startTLSAt(t, "[fd77::5]:0", authority.Issue(t, []string{hubName}, nil), toRelay(relay))
	servers := turnServer(t, "[fd77::5]", relayPort, "udp") + ", " + turnServer(t, hubName, tlsPort, "tls")
	server := startSFUAt(t, "fd77::5", udp, tcp, servers, "fd77::5=fd77::5")
	request := hubRequest(server.URL, authority.File(t), enough)
	request.Resolve[hubName] = "fd77::5"
	results, code := runProbeWith(t, request, calltest.Secret, 2, "udp", "tcp", "turn-udp", "turn-tls")
	for path, got := range results {
		if verdict(got) != "true media" || !strings.Contains(*got.Remote, "[fd77::5]") {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if code != failure.ExitOK || len(results) != 4 {
		t.Errorf("exit code %d: %+v", code, results)
	}
}

// A machine without IPv6 can't say anything about a server without IPv4.
func TestProbeFromAMachineWithoutIPv6(t *testing.T) {
	if !enginetest.WithAddresses(t) {
		return
	}
	for path, stage := range map[string]string{"turn-udp": "null gather", "turn-tls": "null gather"} {
		protocol := strings.TrimPrefix(path, "turn-")
		server := startSFU(t, enginetest.FreePort(t), "0", turnServer(t, "[2001:db8::9]", "3478", protocol))
		results, code := runProbeOn(t, server.URL, calltest.Secret, 2, short, path)
		got := results[path]
		if code != failure.ExitNotWell || verdict(got) != stage || !strings.Contains(got.Detail, "this machine has no route to IPv6 addresses, such as [2001:db8::9]:3478") {
			t.Errorf("exit code %d: %+v", code, got)
		}
	}
}
