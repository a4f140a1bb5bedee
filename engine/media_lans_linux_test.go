package main

import (
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/enginetest"
)

// With the real server: a client in one of two LANs is told the address of its LAN, and all other clients are told
// both.
func TestMediaTellsEachLANItsAddress(t *testing.T) {
	if !enginetest.WithAddresses(t) {
		return
	}
	// The other ends are interfaces without an address.
	for lan, address := range map[string]string{"lan0": "10.77.0.5/24", "lan1": "10.78.0.5/24"} {
		enginetest.RunIP(t, "link", "add", lan, "up", "type", "veth", "peer", "name", lan+"far")
		enginetest.RunIP(t, "link", "set", lan+"far", "up")
		enginetest.RunIP(t, "address", "add", address, "dev", lan)
	}
	udp, tcp := enginetest.FreePort(t), enginetest.FreePort(t)
	relays := turnServer(t, "10.77.0.5", "3478", "udp") + ", " + turnServer(t, "10.78.0.5", "3478", "udp")
	server := startSFUOn(t, "lan0, lan1", "127.0.0.1", udp, tcp, relays, "10.77.0.5=10.77.0.5", "10.78.0.5=10.78.0.5")
	for client, told := range map[string][]string{
		"10.77.0.20":   {"10.77.0.5"},
		"10.78.0.20":   {"10.78.0.5"},
		"198.51.100.7": {"10.77.0.5", "10.78.0.5"},
	} {
		var candidates, urls, given []string
		for _, address := range told {
			candidates = append(candidates, "udp "+address+":"+udp, "tcp "+address+":"+tcp)
			urls = append(urls, "turn:"+address+":3478?transport=udp")
		}
		slices.Sort(candidates)
		p := joinAlone(t, calltest.Server{URL: comingFrom(t, server.URL, client), Control: server.Control})
		for side, got := range offeredCandidates(t, p) {
			if !slices.Equal(got, candidates) {
				t.Errorf("%s: the %s is offered %q, want %q", client, side, got, candidates)
			}
		}
		for _, each := range p.Welcome().IceServers {
			given = append(given, each.Urls...)
		}
		if !slices.Equal(given, urls) {
			t.Errorf("%s: told %q, want %q", client, given, urls)
		}
	}
}

// comingFrom is the URL at which a server gets a client's requests as the edge passes them on.
func comingFrom(t *testing.T, server, client string) string {
	t.Helper()
	target, err := url.Parse(strings.Replace(server, "ws://", "http://", 1))
	if err != nil {
		t.Fatal(err)
	}
	edge := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(request *httputil.ProxyRequest) {
		request.SetURL(target)
		request.Out.Header.Set("X-Forwarded-For", client)
	}})
	t.Cleanup(edge.Close)
	return edge.URL
}
