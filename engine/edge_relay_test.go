package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"lkhub/engine/internal/edge"
	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/relay"
	"lkhub/engine/internal/turntest"
)

// relayOf is the relay's setting in a configuration.
func relayOf(config map[string]any) map[string]any {
	return config["apps"].(map[string]any)["lkhub"].(map[string]any)["relay"].(map[string]any)
}

// relayed is what the edge's status tells of its relays.
func (e *edgeTest) relayed() (allocations, connections int) {
	e.Helper()
	counts := enginetest.AskControl(e.T, e.path("c"), "/status")["relay"].(map[string]any)
	return int(counts["allocations"].(float64)), int(counts["connections"].(float64))
}

// mustReload takes a changed configuration.
func (e *edgeTest) mustReload(change func(config map[string]any)) {
	e.Helper()
	e.configure(change)
	if code, answer := e.reload(); code != http.StatusOK {
		e.Fatalf("reload: %d %s", code, answer)
	}
}

func TestAChangedRelayIsForNewClients(t *testing.T) {
	e := newEdge(t, nil)
	e.start()
	before, credential := e.mustDial("hub.test"), turntest.CredentialFor("PA_one", time.Hour)
	refresh := mustRelay(t, before)

	enginetest.WritePrivate(t, map[string]string{e.path("relay.secret"): "another secret"})
	e.mustReload(nil)
	if code := turntest.OverTLS(t, e.mustDial("hub.test")).Allocate(credential); code == 0 {
		t.Error("a client with the old secret was let in")
	}
	refresh()
	enginetest.WritePrivate(t, map[string]string{e.path("relay.secret"): turntest.Secret})
	e.mustReload(func(config map[string]any) { relayOf(config)["quota"] = 2 })
	one := turntest.OverTLS(t, e.mustDial("hub.test"))
	if code := one.Allocate(credential); code != 0 {
		t.Errorf("Allocate after the change: %d", code)
	}
	// The participant's earlier allocations at the relay count too.
	if code := turntest.OverTLS(t, e.mustDial("hub.test")).Allocate(credential); code == 0 {
		t.Error("one more than the new quota")
	}
	refresh()
	if allocations, _ := e.relayed(); allocations != 2 {
		t.Errorf("%d allocations, want one of each relay", allocations)
	}
	before.Close()
	enginetest.Eventually(t, "the relay before has ended", func() bool {
		allocations, _ := e.relayed()
		return allocations == 1
	})
}

func TestARelayThatIsWrongChangesNothing(t *testing.T) {
	e := newEdge(t, nil)
	e.start()
	refresh := mustRelay(t, e.mustDial("hub.test"))
	for says, change := range map[string]func(config map[string]any){
		"caddy.json: apps.lkhub.relay: quota must be":     func(config map[string]any) { relayOf(config)["quota"] = 0 },
		"caddy.json: apps.lkhub.relay: listen is for UDP": func(config map[string]any) { relayOf(config)["listen"] = []string{"127.0.0.1:3478"} },
		"relay: secret_file: stat ":                       func(config map[string]any) { relayOf(config)["secret_file"] = e.path("none") },
		`unknown field "lisen"`:                           func(config map[string]any) { relayOf(config)["quota"] = 1; layer4Of(config)["lisen"] = 1 },
	} {
		e.configure(change)
		if code, answer := e.reload(); code != http.StatusUnprocessableEntity || !strings.Contains(strings.ReplaceAll(answer, `\"`, `"`), says) {
			t.Errorf("%s: %d %s", says, code, answer)
		}
		refresh()
		mustRelay(t, e.mustDial("hub.test")) // as many as before
	}
}

func TestTURNOverTLSIsGivenUp(t *testing.T) {
	e := newEdge(t, nil)
	e.start()
	conn := e.mustDial("hub.test")
	refresh := mustRelay(t, conn)
	e.mustReload(func(config map[string]any) {
		delete(config["apps"].(map[string]any)["lkhub"].(map[string]any), "relay")
	})
	refresh()
	conn.Close()
	enginetest.Eventually(t, "no allocation is left", func() bool {
		allocations, connections := e.relayed()
		return allocations+connections == 0
	})
}

// The relay behind the edge refuses the same; internal/relay/relay_test.go has all cases.
func TestTheRelayBehindTheEdgeReachesMediaAlone(t *testing.T) {
	e := newEdge(t, nil)
	e.start()
	client, credential := turntest.OverTLS(t, e.mustDial("hub.test")), turntest.CredentialFor("PA_one", time.Hour)
	if code := client.Ask(stun.MethodAllocate, credential, turntest.RequestTCP); code == 0 {
		t.Error("a TCP allocation")
	}
	if code := client.Allocate(credential); code != 0 {
		t.Fatalf("Allocate: %d", code)
	}
	for address, want := range map[string]stun.ErrorCode{"127.0.0.1": 0, "127.0.0.2": stun.CodeForbidden, "10.0.0.1": stun.CodeForbidden} {
		if code := client.Ask(stun.MethodCreatePermission, credential, turntest.PeerAddress{IP: net.ParseIP(address), Port: 7882}); code != want {
			t.Errorf("CreatePermission for %s: %d", address, code)
		}
	}
	if code := client.Ask(stun.MethodConnect, credential, turntest.PeerAddress{IP: net.IPv4(127, 0, 0, 1), Port: 7882}); code == 0 {
		t.Error("Connect to the peer")
	}
}

// A relay that can't be opened must fail before the edge has applied the rest of its configuration.
func TestARelayThatCannotBeOpenedLeavesTheEdgeAsItWas(t *testing.T) {
	e := newEdge(t, nil)
	e.configure(nil)
	text, err := os.ReadFile(e.path("caddy.json"))
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("no relay")
	relays := relay.NewStreams()
	relays.Open = func(*relay.Server) error { return refused }
	if err := edge.NewServer(string(text), "-", relays).Run(func() { t.Error("the edge is ready") }); !errors.Is(err, refused) {
		t.Fatalf("Run: %v", err)
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:"+e.port); err == nil {
		conn.Close()
		t.Error("the edge listens")
	}
	status := relays.Status()
	if _, isThere := status["relay"].(map[string]any)["ports"]; isThere {
		t.Errorf("a relay is there: %v", status)
	}
}
