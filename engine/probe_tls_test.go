package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/certtest"
	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/probe"
)

// hubName is unknown to every resolver; requests lead it to 127.0.0.1.
const hubName = "hub.invalid"

func anotherSecret(r *testRelay) { r.secret = "another" }

// startTLS ends TLS with a certificate and forwards the rest to where dial connects, as the edge does. It returns its
// port.
func startTLS(t *testing.T, certificate tls.Certificate, dial func(client net.Conn) (net.Conn, error)) string {
	t.Helper()
	return startTLSAt(t, "127.0.0.1:0", certificate, dial)
}

func startTLSAt(t *testing.T, at string, certificate tls.Certificate, dial func(client net.Conn) (net.Conn, error)) string {
	t.Helper()
	listener, err := tls.Listen("tcp", at, &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for client, err := listener.Accept(); err == nil; client, err = listener.Accept() {
			go func() {
				defer client.Close()
				behind, err := dial(client)
				if err != nil {
					return
				}
				defer behind.Close()
				go func() {
					_, _ = io.Copy(behind, client)
					behind.Close()
				}()
				_, _ = io.Copy(client, behind)
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// toRelay connects to a relay, without TLS.
func toRelay(r *testRelay) func(net.Conn) (net.Conn, error) {
	return func(client net.Conn) (net.Conn, error) { return r.streams.Dial(client.RemoteAddr()) }
}

func toPort(port string) func(net.Conn) (net.Conn, error) {
	return func(net.Conn) (net.Conn, error) { return net.Dial("tcp", "127.0.0.1:"+port) }
}

// turnBothWays returns entries for one relay to a media port on loopback, over UDP and by the hub's name over TLS, and
// the authority that makes the second one trusted.
func turnBothWays(t *testing.T, udp string) (servers, caFile string) {
	t.Helper()
	authority := certtest.NewAuthority(t, "Hub CA")
	hubRelay, listen := startRelay(t, loopbackPort(t, udp), 24)
	tlsPort := startTLS(t, authority.Issue(t, []string{hubName}, nil), toRelay(hubRelay))
	_, port, _ := net.SplitHostPort(listen)
	return turnServer(t, "127.0.0.1", port, "udp") + ", " + turnServer(t, hubName, tlsPort, "tls"), authority.File(t)
}

// hubRequest is for a hub that only TLS knows by its name.
func hubRequest(url, caFile string, timeout time.Duration) probe.Request {
	return probe.Request{
		URL: url, TimeoutMS: int(timeout.Milliseconds()), MediaMS: 200, CAFile: caFile, Resolve: map[string]string{hubName: "127.0.0.1"},
	}
}

// Signalling and TURN have the hub's name and its own authority, and this machine knows neither.
func TestProbeOfAHubWithAnAuthorityOfItsOwn(t *testing.T) {
	authority := certtest.NewAuthority(t, "Hub CA")
	certificate := authority.Issue(t, []string{hubName}, nil)
	udp := enginetest.FreePort(t)
	relay, _ := startRelay(t, loopbackPort(t, udp), 24)
	tlsPort := startTLS(t, certificate, toRelay(relay))
	server := startSFU(t, udp, "0", turnServer(t, hubName, tlsPort, "tls"))
	signal := startTLS(t, certificate, toPort(server.URL[strings.LastIndex(server.URL, ":")+1:]))

	results, code := runProbeWith(t, hubRequest("wss://"+hubName+":"+signal, authority.File(t), enough), calltest.Secret, 2, "udp", "turn-tls")
	for path, result := range results {
		if verdict(result) != "true media" {
			t.Errorf("%s: %+v", path, result)
		}
	}
	if code != failure.ExitOK || len(results) != 2 {
		t.Fatalf("exit code %d: %+v", code, results)
	}
	result := results["turn-tls"]
	if *result.Relay != "turns:"+hubName+":"+tlsPort+"?transport=tcp" || !strings.HasPrefix(*result.Local, "udp relay 127.0.0.1:2") {
		t.Errorf("relay %s, local %s", *result.Relay, *result.Local)
	}
	if result.Native == nil || *result.Native || !strings.Contains(*result.NativeDetail, "issued by Hub CA") {
		t.Errorf("native: %v", result.Native)
	}
	if udp := results["udp"]; udp.Native != nil || udp.NativeDetail != nil {
		t.Errorf("udp: native %v, %v", udp.Native, udp.NativeDetail)
	}
	checkRoomIsEmpty(t, server)

	t.Run("which is not given", func(t *testing.T) {
		results, _ := runProbeWith(t, hubRequest("wss://"+hubName+":"+signal, "", enough), calltest.Secret, 2, "udp")
		if got := results["udp"]; verdict(got) != "false tls" || !strings.Contains(got.Detail, "it leads to Hub CA, an authority that is unknown here") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("by another name", func(t *testing.T) {
		request := hubRequest("wss://other.invalid:"+signal, authority.File(t), enough)
		request.Resolve["other.invalid"] = "127.0.0.1"
		results, _ := runProbeWith(t, request, calltest.Secret, 2, "udp")
		if got := results["udp"]; verdict(got) != "false tls" || !strings.Contains(got.Detail, "it is for hub.invalid, not for other.invalid") {
			t.Errorf("%+v", got)
		}
	})
}

func TestProbeTellsTheStagesOfTURNOverTLS(t *testing.T) {
	authority := certtest.NewAuthority(t, "Hub CA")
	issuer, stranger := authority.Authority(t, "Hub Issuer"), certtest.NewAuthority(t, "Stranger")
	right := []string{hubName}
	udp := enginetest.FreePort(t)
	relay, _ := startRelay(t, loopbackPort(t, udp), 24)
	elsewhere, _ := startRelay(t, loopbackPort(t, enginetest.FreePort(t)), 24)
	full, _ := startRelay(t, loopbackPort(t, udp), 24)
	full.Drain()
	foreign, _ := startRelay(t, loopbackPort(t, udp), 24, anotherSecret)
	silent := occupyTCP(t)
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	caFile := authority.File(t)
	// Only the end of their time ends these.
	byTime := map[string]bool{"silent": true, "no TURN behind TLS": true, "a relay elsewhere": true}
	for _, c := range []struct {
		name, host, port string
		verdict, says    string
		native           bool // whether a chain was seen
	}{
		{"no such name", "nowhere..invalid", "443", "false dns", "nowhere..invalid has no address", false}, // asks no resolver
		{"nothing listens", hubName, enginetest.FreePort(t), "false tcp", "the TURN server: connection refused by 127.0.0.1:", false},
		{"silent", hubName, silent, "false tls", "did not answer the TLS handshake", false},
		{"expired", hubName, startTLS(t, authority.Issue(t, right, certtest.Expired), toRelay(relay)), "false tls", "it expired on", true},
		{"another name", hubName, startTLS(t, authority.Issue(t, []string{"turn.invalid"}, nil), toRelay(relay)),
			"false tls", "it is for turn.invalid, not for hub.invalid", true},
		{"an unknown authority", hubName, startTLS(t, stranger.Issue(t, right, nil), toRelay(relay)), "false tls", "it leads to Stranger", true},
		{"an incomplete chain", hubName, startTLS(t, issuer.Issue(t, right, certtest.Fetchable), toRelay(relay)),
			"false tls", "the chain is incomplete: the server doesn't send the certificate of its issuer Hub Issuer", true},
		{"no TURN behind TLS", hubName, startTLS(t, authority.Issue(t, right, nil), toPort(silent)), "false gather", "no answer from the TURN server turns:hub.invalid:", true},
		{"a web server", hubName, startTLS(t, authority.Issue(t, right, nil), toPort(strings.TrimPrefix(web.URL, "http://127.0.0.1:"))), "false gather", " speaks HTTP, not TURN: ", true},
		{"no allocation", hubName, startTLS(t, authority.Issue(t, right, nil), toRelay(full)),
			"false gather", "gave no relay address: the participant's allocations are used up", true},
		{"another secret", hubName, startTLS(t, authority.Issue(t, right, nil), toRelay(foreign)), "false gather", "it refuses the name and password that LiveKit gave out", true},
		{"a relay elsewhere", hubName, startTLS(t, authority.Issue(t, right, nil), toRelay(elsewhere)),
			"false connect", "to udp 127.0.0.1:" + udp + " without a reply", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := startSFU(t, enginetest.FreePort(t), "0", turnServer(t, c.host, c.port, "tls"))
			if c.name == "a relay elsewhere" {
				server = startSFU(t, udp, "0", turnServer(t, c.host, c.port, "tls"))
			}
			patience := enough
			if byTime[c.name] {
				patience = short
			}
			results, code := runProbeWith(t, hubRequest(server.URL, caFile, patience), calltest.Secret, 2, "turn-tls")
			result := results["turn-tls"]
			if code != failure.ExitNotWell || verdict(result) != c.verdict || !strings.Contains(result.Detail, c.says) {
				t.Errorf("exit code %d: %+v", code, result)
			}
			if (result.Native != nil) != c.native || (result.NativeDetail != nil) != c.native || result.Relay == nil {
				t.Errorf("native %v, relay %v", result.Native, result.Relay)
			}
			t.Log(result.Detail)
		})
	}
}

// For clients that have only IPv6 or prefer it: pion alone would not try IPv6.
func TestProbeOfTURNOverIPv6(t *testing.T) {
	conn, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here")
	}
	conn.Close()
	udp, port := enginetest.FreePort(t), enginetest.FreePort(t)
	startRelay(t, loopbackPort(t, udp), 24, func(r *testRelay) {
		r.config.Listen = []netip.AddrPort{netip.MustParseAddrPort("[::1]:" + port)}
	})
	server := startSFU(t, udp, "0", turnServer(t, "[::1]", port, "udp"))
	results, _ := runProbeOn(t, server.URL, calltest.Secret, 2, enough, "turn-udp")
	if got := results["turn-udp"]; verdict(got) != "true media" || *got.Relay != fmt.Sprintf("turn:[::1]:%s?transport=udp", port) {
		t.Errorf("%+v", got)
	}
}
