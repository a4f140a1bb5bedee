package relay

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
	"github.com/pion/turn/v5"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/turntest"
)

const (
	publicPeer = "203.0.113.80" // not an address of this machine
	localPeer  = "127.0.0.1"
)

// behindNAT makes a relay whose peer clients know by its advertised address.
func behindNAT(r *Server) {
	r.config.Peers[0].Address = netip.MustParseAddr(publicPeer)
	r.config.Translate = Translations{{netip.MustParseAddr(publicPeer), netip.MustParseAddr(localPeer)}}
}

func TestTranslatedPeersAreReachedByTheAdvertisedAddress(t *testing.T) {
	overEveryTransport(t, func(t *testing.T, dial dialer) {
		peer := turntest.ListenUDP(t)
		port := peer.LocalAddr().(*net.UDPAddr).Port
		named := &net.UDPAddr{IP: net.ParseIP(publicPeer), Port: port}
		r, _ := startRelay(t, peer.LocalAddr(), 24, behindNAT)
		_, relayed := newTURNClient(t, r, dial)
		for _, text := range []string{"first", "second"} {
			send(t, relayed, named, text)
			receive(t, peer, text)
			send(t, peer, relayed.LocalAddr(), "answer to "+text)
			buffer := make([]byte, 100)
			_ = relayed.SetReadDeadline(time.Now().Add(enginetest.Patience))
			n, from, err := relayed.ReadFrom(buffer)
			if err != nil || string(buffer[:n]) != "answer to "+text || from.String() != named.String() {
				t.Fatalf("%q from %v, %v; want it from %s", buffer[:n], from, err, named)
			}
		}
	})
}

// The local address is not a name of the peer. A channel carries packets in both directions.
func TestTranslatedChannels(t *testing.T) {
	overEveryTransport(t, func(t *testing.T, dial dialer) {
		peer := turntest.ListenUDP(t)
		port := peer.LocalAddr().(*net.UDPAddr).Port
		r, _ := startRelay(t, peer.LocalAddr(), 24, behindNAT)
		credential, client := turntest.CredentialFor("PA_one", time.Hour), newRawClient(t, r, dial)
		relayed := client.AllocateAt(credential)
		local, named := turntest.PeerAddress{IP: net.ParseIP(localPeer), Port: port}, turntest.PeerAddress{IP: net.ParseIP(publicPeer), Port: port}
		if code := client.Ask(stun.MethodCreatePermission, credential, local); code != stun.CodeForbidden {
			t.Errorf("CreatePermission for the local address: %d", code)
		}
		if code := client.Ask(stun.MethodChannelBind, credential, turntest.FirstChannel, named); code != 0 {
			t.Fatalf("ChannelBind: %d", code)
		}
		if _, err := client.Conn.WriteTo(channelData(0x4000, "to the peer"), nil); err != nil {
			t.Fatal(err)
		}
		receive(t, peer, "to the peer")
		send(t, peer, relayed, "to the client")
		receive(t, client.Conn, string(channelData(0x4000, "to the client")))
	})
}

func TestPeerAddresses(t *testing.T) {
	address := netip.MustParseAddr
	public, lan, other := address("203.0.113.80"), address("192.168.1.2"), address("192.168.1.3")
	h := newPeerAddresses(
		Peers{{public, PortRange{1, 2}}, {lan, PortRange{1, 2}}, {other, PortRange{1, 2}}, {lan, PortRange{5, 6}}},
		Translations{{public, lan}},
	)
	for _, step := range []struct{ named, reached, answers netip.Addr }{
		{public, lan, public},
		{lan, lan, lan}, // one socket with two names: the answer has the name that was used
		{public, lan, public},
		{other, other, other},
		{address("10.0.0.1"), address("10.0.0.1"), address("10.0.0.1")}, // an unknown address does not lead to another one
	} {
		if got := h.reach(step.named); got != step.reached {
			t.Errorf("%s is reached at %s, want %s", step.named, got, step.reached)
		}
		if got := h.name(step.reached); got != step.answers {
			t.Errorf("%s answers as %s, want %s", step.reached, got, step.answers)
		}
	}
}

// Relaying a packet allocates no memory.
func TestRelayedPacketsAllocateNothing(t *testing.T) {
	peer := turntest.ListenUDP(t).(*net.UDPConn)
	port := uint16(peer.LocalAddr().(*net.UDPAddr).Port)
	addresses := newTestAddresses(t, Config{
		RelayAddress: netip.MustParseAddr(localPeer), RelayPorts: PortRange{20000, 29999}, Quota: 1,
		Peers:     Peers{{netip.MustParseAddr(publicPeer), PortRange{port, port}}},
		Translate: Translations{{netip.MustParseAddr(publicPeer), netip.MustParseAddr(localPeer)}},
	})
	conn, relayed, err := addresses.AllocatePacketConn(turn.AllocateListenerConfig{Network: "udp4"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	packet, buffer := make([]byte, 1200), make([]byte, 1500)
	named, back := &net.UDPAddr{IP: net.ParseIP(publicPeer), Port: int(port)}, relayed.(*net.UDPAddr).AddrPort()
	_ = conn.SetDeadline(time.Now().Add(enginetest.Patience))
	_ = peer.SetDeadline(time.Now().Add(enginetest.Patience))
	if each := testing.AllocsPerRun(100, func() {
		_, err1 := conn.WriteTo(packet, named)
		_, _, err2 := peer.ReadFromUDPAddrPort(buffer)
		_, err3 := peer.WriteToUDPAddrPort(packet, back)
		_, from, err4 := conn.ReadFrom(buffer)
		if err1 != nil || err2 != nil || err3 != nil || err4 != nil || from.(*net.UDPAddr).Port != named.Port {
			t.Fatal(err1, err2, err3, err4, from)
		}
	}); each > 0 {
		t.Errorf("%.0f allocations for a packet each way", each)
	}
}
