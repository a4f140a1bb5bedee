package relay

import (
	"net/netip"
	"testing"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/seen"
	"lkhub/engine/internal/turntest"
)

// The first bytes of a client's ICE checks and of its media.
const (
	check = "\x00\x01 a binding request"
	dtls  = "\x16\xfe\xfd a handshake"
)

func seenBy(t *testing.T, r *Server) map[string]seen.Sighting {
	t.Helper()
	status, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status["seen"].(map[string]seen.Sighting)
}

func TestRelaySeesClientsThatHaveSentMedia(t *testing.T) {
	for transport, want := range map[string]struct{ path, client string }{
		"udp": {"turn-udp", "127.0.0.1"}, "stream": {"turn-tls", "203.0.113.1"},
	} {
		t.Run(transport, func(t *testing.T) {
			peer := turntest.ListenUDP(t)
			r, _ := startRelay(t, peer.LocalAddr(), 24)
			r.addresses.clients.outside.IsInside = func(netip.Addr) bool { return false }
			_, relayed := newTURNClient(t, r, dialers[transport])
			send(t, relayed, peer.LocalAddr(), check)
			receive(t, peer, check)
			if got := seenBy(t, r); len(got) > 0 {
				t.Fatalf("an allocation that carried checks alone: %v", got)
			}
			send(t, relayed, peer.LocalAddr(), dtls)
			receive(t, peer, dtls)
			got := seenBy(t, r)
			if len(got) != 1 || got[want.path].Address != netip.MustParseAddr(want.client) {
				t.Fatalf("%v", got)
			}
		})
	}
}

// The allocation may be over before the status is asked for.
func TestRelayRemembersClientsThatHaveLeft(t *testing.T) {
	peer := turntest.ListenUDP(t)
	r, _ := startRelay(t, peer.LocalAddr(), 24)
	_, relayed := newTURNClient(t, r, dialStream)
	send(t, relayed, peer.LocalAddr(), dtls)
	receive(t, peer, dtls)
	if err := relayed.Close(); err != nil {
		t.Fatal(err)
	}
	clients := r.addresses.clients
	enginetest.Eventually(t, "the end of the allocation", func() bool {
		clients.mu.Lock()
		defer clients.mu.Unlock()
		return len(clients.open) == 0
	})
	enginetest.Eventually(t, "word of it", func() bool { return len(clients.outside.Proven()) == 1 })
}

func TestRelayDoesNotSeeClientsOnThisMachine(t *testing.T) {
	peer := turntest.ListenUDP(t)
	r, _ := startRelay(t, peer.LocalAddr(), 24)
	_, relayed := newTURNClient(t, r, dialUDP)
	send(t, relayed, peer.LocalAddr(), dtls)
	receive(t, peer, dtls)
	if got := seenBy(t, r); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

func TestMediaIsToldFromChecks(t *testing.T) {
	for first, want := range map[byte]bool{0: false, 1: false, 19: false, 20: true, 63: true, 64: false, 127: false, 128: true, 191: true, 192: false} {
		if got := isMedia([]byte{first, 0}); got != want {
			t.Errorf("first byte %d: %v", first, got)
		}
	}
	if isMedia(nil) {
		t.Error("nothing at all is media")
	}
}

// Clients are told the public address of a 1:1 NAT, and arrive at the local one.
func TestRelayKnowsItsOwnAddressesByItsPeers(t *testing.T) {
	local, told := netip.MustParseAddr("10.77.0.5"), netip.MustParseAddr("203.0.113.5")
	config := Config{Translate: Translations{{told, local}}, Peers: Peers{{told, PortRange{7882, 7882}}}}
	clients := newClients(config)
	for address, want := range map[string]bool{"203.0.113.5": true, "127.0.0.1": true, "203.0.113.9": false} {
		if got := clients.outside.IsInside(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is inside: %v", address, got)
		}
	}
}
