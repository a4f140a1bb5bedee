package relay

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"
	"github.com/pion/turn/v5"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/turntest"
)

// startRelay runs a relay on 127.0.0.1, over UDP and over streams. Its only peer is the given address. It returns the
// relay and where it listens. change, if any, may change its configuration.
func startRelay(t *testing.T, peer net.Addr, limit int, change ...func(*Server)) (*Server, string) {
	t.Helper()
	allowed := peer.(*net.UDPAddr).AddrPort()
	allowed = netip.AddrPortFrom(allowed.Addr().Unmap(), allowed.Port())
	host := "127.0.0.1"
	if allowed.Addr().Is6() {
		host = allowed.Addr().String()
	}
	address := netip.MustParseAddrPort(net.JoinHostPort(host, enginetest.FreePortAt(t, host)))
	config := Config{
		Listen:       []netip.AddrPort{address},
		Realm:        turntest.Realm,
		RelayAddress: address.Addr(),
		RelayPorts:   PortRange{20000, 29999},
		Quota:        limit,
	}
	config.Peers = append(config.Peers, Peers{{allowed.Addr(), PortRange{allowed.Port(), allowed.Port()}}}...)
	r := New(config, turntest.Secret, turntest.NewHanded(), NewBounds(math.MaxUint16))
	for _, change := range change {
		change(r)
	}
	r.addresses = newAddresses(r.config, r.bounds)
	turntest.Start(t, r)
	return r, address.String()
}

// newTURNClient returns a client of pion's with an allocation.
func newTURNClient(t *testing.T, r *Server, dial dialer) (*turn.Client, net.PacketConn) {
	t.Helper()
	credential := turntest.CredentialFor("PA_one", time.Hour)
	const server = "127.0.0.1:1" // not used: each dialer leads to the relay alone
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server, TURNServerAddr: server, Username: credential.Username, Password: credential.Password, Conn: dial(t, r),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	relayed, err := client.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { relayed.Close() })
	return client, relayed
}

func TestRelayReachesThePeerAndNoOtherPort(t *testing.T) {
	overEveryTransport(t, func(t *testing.T, dial dialer) {
		peer, other := turntest.ListenUDP(t), turntest.ListenUDP(t)
		r, _ := startRelay(t, peer.LocalAddr(), 24)
		client, relayed := newTURNClient(t, r, dial)
		if _, err := client.SendBindingRequest(); err != nil {
			t.Errorf("STUN binding: %v", err)
		}

		// Twice, since the client changes from Send indications to a channel as soon as the server has bound one.
		for _, round := range []string{"first", "second"} {
			// The packet to the other port goes first: once the peer has its own packet, the other one would have
			// arrived.
			send(t, relayed, other.LocalAddr(), "to the other port")
			send(t, relayed, peer.LocalAddr(), round)
			receive(t, peer, round)
			send(t, other, relayed.LocalAddr(), "from the other port")
			send(t, peer, relayed.LocalAddr(), "answer")
			receive(t, relayed, "answer")
		}
		_ = other.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if n, _, err := other.ReadFrom(make([]byte, 1500)); err == nil {
			t.Errorf("%d bytes arrived at a port that is no peer", n)
		}
	})
}

func send(t *testing.T, from net.PacketConn, to net.Addr, text string) {
	t.Helper()
	if _, err := from.WriteTo([]byte(text), to); err != nil {
		t.Fatal(err)
	}
}

// receive reads one packet, which must be the wanted one.
func receive(t *testing.T, conn net.PacketConn, want string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	buffer := make([]byte, 1500)
	n, _, err := conn.ReadFrom(buffer)
	if err != nil || string(buffer[:n]) != want {
		t.Fatalf("received %q, %v; want %q", buffer[:n], err, want)
	}
}

func TestRelayRefusesEveryOtherAddress(t *testing.T) {
	overEveryTransport(t, func(t *testing.T, dial dialer) {
		peer := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 3), Port: 7882}
		r, _ := startRelay(t, peer, 24)
		credential := turntest.CredentialFor("PA_one", time.Hour)
		client := newRawClient(t, r, dial)
		if code := client.Allocate(credential); code != 0 {
			t.Fatalf("Allocate: %d", code)
		}
		for _, refused := range []string{
			"127.0.0.1", "127.0.0.2", "0.0.0.0", "169.254.169.254", "10.0.0.1", "100.64.0.1", "172.17.0.1", "192.168.1.1",
			"192.0.2.1", "224.0.0.1", "255.255.255.255", "::1", "::ffff:10.0.0.1",
		} {
			at := turntest.PeerAddress{IP: net.ParseIP(refused), Port: peer.Port}
			if code := client.Ask(stun.MethodCreatePermission, credential, at); code != stun.CodeForbidden && code != stun.CodePeerAddrFamilyMismatch {
				t.Errorf("CreatePermission for %s: %d", refused, code)
			}
			if code := client.Ask(stun.MethodChannelBind, credential, turntest.FirstChannel, at); code == 0 {
				t.Errorf("ChannelBind to %s succeeded", refused)
			}
			if code := client.Ask(stun.MethodConnect, credential, at); code == 0 {
				t.Errorf("Connect to %s succeeded", refused)
			}
		}
		if code := client.Ask(stun.MethodCreatePermission, credential, turntest.PeerAddress(*peer)); code != 0 {
			t.Errorf("CreatePermission for the peer: %d", code)
		}
	})
}

func TestRelayHasNoTCP(t *testing.T) {
	overEveryTransport(t, func(t *testing.T, dial dialer) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		service := listener.Addr().(*net.TCPAddr)
		r, address := startRelay(t, &net.UDPAddr{IP: service.IP, Port: service.Port}, 24)
		credential := turntest.CredentialFor("PA_one", time.Hour)
		client := newRawClient(t, r, dial)
		if code := client.Ask(stun.MethodAllocate, credential, turntest.RequestTCP); code == 0 {
			t.Error("Allocate with TCP succeeded")
		}
		if code := client.Allocate(credential); code != 0 {
			t.Fatalf("Allocate: %d", code)
		}
		if code := client.Ask(stun.MethodConnect, credential, turntest.PeerAddress{IP: service.IP, Port: service.Port}); code == 0 {
			t.Error("Connect to the peer's address succeeded")
		}
		_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Millisecond))
		if conn, err := listener.Accept(); err == nil {
			t.Errorf("a TCP connection came from %s", conn.RemoteAddr())
		}
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			t.Error("the relay listens on TCP")
		}
	})
}

func newTestAddresses(t *testing.T, config Config) *addresses {
	t.Helper()
	bounds := NewBounds(math.MaxUint16)
	bounds.Use(config)
	addresses := newAddresses(config, bounds)
	if err := addresses.Validate(); err != nil {
		t.Fatal(err)
	}
	return addresses
}

func TestRelayAsksForTheSecret(t *testing.T) {
	overEveryTransport(t, func(t *testing.T, dial dialer) {
		r, _ := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 24)
		valid := turntest.CredentialFor("PA_one", time.Hour)
		for name, credential := range map[string]turntest.Credential{
			"another password":          {Username: valid.Username, Password: "guess"},
			"another participant":       {Username: strings.Replace(valid.Username, "PA_one", "PA_two", 1), Password: valid.Password},
			"a later expiry":            {Username: "9" + valid.Username, Password: valid.Password},
			"no participant":            turntest.CredentialFor("", time.Hour),
			"a username without expiry": {Username: "PA_one", Password: valid.Password},
		} {
			if code := newRawClient(t, r, dial).Allocate(credential); code == 0 {
				t.Errorf("Allocate with %s succeeded", name)
			}
		}
	})
}

// A participant's allocations over all transports count together.
func TestQuotaIsPerParticipant(t *testing.T) {
	r, _ := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 2)
	one, again, two := turntest.CredentialFor("PA_one", time.Hour), turntest.CredentialFor("PA_one", 2*time.Hour), turntest.CredentialFor("PA_two", time.Hour)
	first := newRawClient(t, r, dialUDP)
	for _, client := range []*turntest.Client{first, newRawClient(t, r, dialStream)} {
		if code := client.Allocate(one); code != 0 {
			t.Fatalf("Allocate within the quota: %d", code)
		}
	}
	for name, dial := range dialers {
		if code := newRawClient(t, r, dial).Allocate(again); code != stun.CodeAllocQuotaReached {
			t.Errorf("a third Allocate (%s), with another credential of the participant: %d", name, code)
		}
		if code := newRawClient(t, r, dial).Allocate(two); code != 0 {
			t.Errorf("Allocate of another participant (%s): %d", name, code)
		}
	}
	if code := first.Deallocate(one); code != 0 {
		t.Fatalf("deallocation: %d", code)
	}
	if code := newRawClient(t, r, dialStream).Allocate(again); code != 0 {
		t.Errorf("Allocate after a deallocation: %d", code)
	}
}

// The quota handler answers the client. This check is the one that several listeners share.
func TestQuotaHoldsWithoutTheHandler(t *testing.T) {
	addresses := newTestAddresses(t, Config{RelayAddress: netip.MustParseAddr("127.0.0.1"), RelayPorts: PortRange{20000, 29999}, Quota: 1})
	want := turn.AllocateListenerConfig{Network: "udp4", UserID: newHolder("PA_one", &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1)}).String()}
	conn, _, err := addresses.AllocatePacketConn(want)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := addresses.AllocatePacketConn(want); !errors.Is(err, errQuota) {
		t.Errorf("a second socket: %v", err)
	}
	conn.Close()
	conn.Close() // a second Close gives back nothing
	if conn, _, err = addresses.AllocatePacketConn(want); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, _, err := addresses.AllocatePacketConn(want); !errors.Is(err, errQuota) {
		t.Errorf("a second socket after two closes: %v", err)
	}
}

func TestDrainKeepsAllocationsAndMakesNoMore(t *testing.T) {
	overEveryTransport(t, func(t *testing.T, dial dialer) {
		r, _ := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 24)
		credential := turntest.CredentialFor("PA_one", time.Hour)
		client := newRawClient(t, r, dial)
		if code := client.Allocate(credential); code != 0 {
			t.Fatalf("Allocate: %d", code)
		}
		r.Drain()
		if code := newRawClient(t, r, dial).Allocate(credential); code != stun.CodeAllocQuotaReached {
			t.Errorf("Allocate while draining: %d", code)
		}
		if code := client.Ask(stun.MethodRefresh, credential); code != 0 || !r.Busy() {
			t.Errorf("Refresh while draining: %d, busy %v", code, r.Busy())
		}
		if code := client.Deallocate(credential); code != 0 || r.Busy() {
			t.Errorf("deallocation while draining: %d, busy %v", code, r.Busy())
		}
	})
}

func TestReservedPortsAreRelayPorts(t *testing.T) {
	r, _ := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 24)
	if code := newRawClient(t, r, dialUDP).Ask(stun.MethodAllocate, turntest.CredentialFor("PA_one", time.Hour), turntest.RequestUDP, turntest.RequestedEven); code != 0 {
		t.Errorf("Allocate with an even port: %d", code)
	}
	addresses := newTestAddresses(t, Config{RelayAddress: netip.MustParseAddr("127.0.0.1"), RelayPorts: PortRange{20000, 20001}, Quota: 1})
	if _, _, err := addresses.AllocatePacketConn(turn.AllocateListenerConfig{Network: "udp4", RequestedPort: 20002}); err == nil {
		t.Error("a port outside the relay ports was given")
	}
}
