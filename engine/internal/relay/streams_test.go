package relay

import (
	"net"
	"net/netip"
	"testing"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/turntest"
)

func TestAChangeThatIsGivenUpLeavesTheRelayAsItWas(t *testing.T) {
	relays := NewStreams()
	change, err := relays.Prepare(testStreams(t, "one"))
	if err != nil {
		t.Fatal(err)
	}
	change.Commit(noStreams)
	before := relays.newest
	other, err := relays.Prepare(testStreams(t, "another"))
	if err != nil {
		t.Fatal(err)
	}
	other.Discard()
	if relays.newest != before || len(relays.running) != 1 || isRetired(before) {
		t.Error("the relay is another one")
	}
	if !isRetired(other.next) {
		t.Error("the one that was given up lets clients in")
	}
	none, err := relays.Prepare(StreamConfig{})
	if err != nil {
		t.Fatal(err)
	}
	none.Commit(noStreams)
	enginetest.Eventually(t, "no client is left", func() bool {
		relays.mu.Lock()
		defer relays.mu.Unlock()
		return len(relays.running) == 0
	})
}

// noStreams is a listener without connections.
func noStreams() net.Listener { return turntest.NewHanded() }

func isRetired(r *Server) bool {
	r.listener.mu.Lock()
	defer r.listener.mu.Unlock()
	return r.listener.done
}

func testStreams(t *testing.T, secret string) StreamConfig {
	t.Helper()
	config := Config{
		Realm: "hub", RelayAddress: netip.MustParseAddr("127.0.0.1"), RelayPorts: PortRange{Min: 40000, Max: 40009}, Quota: 3,
	}
	return StreamConfig{"text of " + secret, config, secret}
}
