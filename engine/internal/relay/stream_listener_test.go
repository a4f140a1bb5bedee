package relay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/pion/stun/v3"
	"github.com/pion/turn/v5"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/turntest"
)

// impatient makes a relay with limits short enough to wait for.
func impatient(r *Server) {
	r.limits = streamLimits{idle: 50 * time.Millisecond, write: 50 * time.Millisecond}
}

// checkEnds expects the relay to end a connection without an answer.
func checkEnds(t *testing.T, what string, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(enginetest.Patience))
	n, err := conn.Read(make([]byte, 1500))
	if n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: %d bytes, %v; want an end", what, n, err)
	}
}

func TestStreamsOfClientsAreToldApart(t *testing.T) {
	r, _ := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 24)
	credential := turntest.CredentialFor("PA_one", time.Hour)
	for _, address := range []string{"203.0.113.1:1", "203.0.113.1:2", "203.0.113.2:1", "[2001:db8::2]:1"} {
		as := func(t *testing.T, r *Server) net.PacketConn {
			return turn.NewSTUNConn(dialAs(t, r, netip.MustParseAddrPort(address)))
		}
		client := newRawClient(t, r, as)
		var seen stun.XORMappedAddress
		if err := seen.GetFrom(client.Exchange(stun.TransactionID, stun.BindingRequest)); err != nil || seen.String() != address {
			t.Errorf("%s is told that it is %s, %v", address, seen, err)
		}
		if code := client.Allocate(credential); code != 0 { // also for an IPv6 client: the relay address is IPv4, so the client gets IPv4
			t.Errorf("Allocate of %s: %d", address, code)
		}
	}
	if n := r.Allocations(); n != 4 {
		t.Errorf("%d allocations", n)
	}
}

func TestAnIPv6ClientOverUDPIsRelayedToo(t *testing.T) {
	conn, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here")
	}
	conn.Close()
	r, _ := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 24, func(r *Server) {
		r.config.Listen = []netip.AddrPort{netip.MustParseAddrPort("[::1]:" + enginetest.FreePort(t))}
	})
	client := newRawClient(t, r, func(t *testing.T, r *Server) net.PacketConn {
		conn, err := net.ListenPacket("udp6", "[::1]:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return turntest.Connect(conn, net.UDPAddrFromAddrPort(r.config.Listen[0]))
	})
	if code := client.Allocate(turntest.CredentialFor("PA_one", time.Hour)); code != 0 {
		t.Errorf("Allocate: %d", code)
	}
}

func TestStreamsWithoutAnAllocationEnd(t *testing.T) {
	r, _ := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 24, impatient)
	credential := turntest.CredentialFor("PA_one", time.Hour)

	mute := dialAs(t, r, turntest.NextClient())
	busy := dialAs(t, r, turntest.NextClient())
	go func() { // always valid, and of no use
		answers := make([]byte, 1500)
		for {
			if _, err := busy.Write(stunMessage(t, 0)); err != nil {
				return
			}
			_, _ = busy.Read(answers)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	inCall := newRawClient(t, r, dialStream)
	if code := inCall.Allocate(credential); code != 0 {
		t.Fatalf("Allocate: %d", code)
	}
	checkEnds(t, "without a word", mute)
	waitForConnections(t, r, 1)
	time.Sleep(2 * r.limits.idle) // a fixed wait, since the connection must stay
	if code := inCall.Ask(stun.MethodRefresh, credential); code != 0 {
		t.Errorf("Refresh after the limit: %d", code)
	}
	if code := inCall.Deallocate(credential); code != 0 {
		t.Fatalf("deallocation: %d", code)
	}
	waitForConnections(t, r, 0)
}

func waitForConnections(t *testing.T, r *Server, want int) {
	t.Helper()
	for deadline := time.Now().Add(enginetest.Patience); r.listener.connections() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections, want %d", r.listener.connections(), want)
		}
	}
}

func TestStreamsAreCounted(t *testing.T) {
	r, _ := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 24, func(r *Server) { r.config.RelayPorts = PortRange{20000, 20001} })
	client := func(last int) netip.AddrPort { return netip.MustParseAddrPort(fmt.Sprintf("203.0.113.%d:1024", last)) }
	first := dialAs(t, r, client(1))
	dialAs(t, r, client(2))
	waitForConnections(t, r, 2)
	checkEnds(t, "one too many", dialAs(t, r, client(3)))
	first.Close()
	waitForConnections(t, r, 1)
	newRawClient(t, r, dialStream).Exchange(stun.TransactionID, stun.BindingRequest)
}

func TestAStreamThatTakesNothingEnds(t *testing.T) {
	peer := turntest.ListenUDP(t)
	r, _ := startRelay(t, peer.LocalAddr(), 24, impatient)
	credential, at := turntest.CredentialFor("PA_one", time.Hour), turntest.PeerAddress(*peer.LocalAddr().(*net.UDPAddr))
	client := newRawClient(t, r, dialStream)
	relayed := client.AllocateAt(credential)
	if code := client.Ask(stun.MethodChannelBind, credential, turntest.FirstChannel, at); code != 0 {
		t.Fatalf("ChannelBind: %d", code)
	}
	packet := make([]byte, 1400)
	for deadline := time.Now().Add(enginetest.Patience); r.Allocations() > 0; {
		if _, err := peer.WriteTo(packet, relayed); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("still there")
		}
	}
	waitForConnections(t, r, 0)
}

// Whatever arrives, the relay stays up, a call goes on, and the cost of a connection is bounded.
func TestStreamsOfNoSense(t *testing.T) {
	peer := turntest.ListenUDP(t)
	r, _ := startRelay(t, peer.LocalAddr(), 24)
	_, relayed := newTURNClient(t, r, dialStream)
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		bytes := make([]byte, n)
		for i := range bytes {
			bytes[i] = byte(random.Uint32())
		}
		return bytes
	}
	for name, sent := range map[string][]byte{
		"a length with which pion spins":     claiming(stunMessage(t, 0), 65516),
		"channel data with which pion spins": claiming(channelData(0x4000, "data"), 65532),
		"the largest length":                 claiming(stunMessage(t, 0), 65532),
		"HTTP":                               []byte("GET / HTTP/1.1\r\nHost: hub\r\n\r\n"),
		"noise":                              append([]byte{0xff}, noise(10_000)...),
	} {
		conn := dialAs(t, r, turntest.NextClient())
		_, _ = conn.Write(sent) // may be cut off in the middle
		checkEnds(t, name, conn)
	}

	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const crowd = 500
	for range crowd {
		conn := dialAs(t, r, turntest.NextClient())
		for _, b := range claiming(stunMessage(t, 0), 1500)[:12] { // the rest never arrives
			if _, err := conn.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		nonsense := stunMessage(t, 40)
		copy(nonsense[stunHeader:], noise(40))
		_, _ = dialAs(t, r, turntest.NextClient()).Write(nonsense)
	}
	waitForConnections(t, r, 1+2*crowd)
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse)) / (2 * crowd)
	if t.Logf("%d bytes a connection, this test's side too", each); each > 32<<10 {
		t.Errorf("a connection costs %d bytes", each)
	}
	send(t, relayed, peer.LocalAddr(), "still here")
	receive(t, peer, "still here")
}

func TestStoppingTheRelayEndsItsStreams(t *testing.T) {
	r, _ := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 24)
	conn := dialAs(t, r, turntest.NextClient())
	waitForConnections(t, r, 1)
	r.Stop()
	checkEnds(t, "after a stop", conn)
}

// A client in a call stays on its relay for as long as the call lasts. Then the relay ends.
func TestARetiredRelayEndsWithItsLastClient(t *testing.T) {
	peer := turntest.ListenUDP(t)
	r, _ := startRelay(t, peer.LocalAddr(), 24)
	conn := dialAs(t, r, turntest.NextClient())
	_, relayed := newTURNClient(t, r, func(*testing.T, *Server) net.PacketConn { return turn.NewSTUNConn(conn) })
	r.retire()
	if _, err := r.streams.(*turntest.Handed).Dial(&net.TCPAddr{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("one more client: %v", err)
	}
	send(t, relayed, peer.LocalAddr(), "still here")
	receive(t, peer, "still here")
	if r.stopped.Err() != nil {
		t.Fatal("stopped with a client")
	}
	conn.Close()
	enginetest.Eventually(t, "its end", func() bool { return r.stopped.Err() != nil })
}

func TestARelayWithoutClientsRetiresAtOnce(t *testing.T) {
	r, _ := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 24)
	r.retire()
	enginetest.Eventually(t, "its end", func() bool { return r.stopped.Err() != nil })
}

// scarce is a listener on a machine that has run out of file descriptors for a moment.
type scarce struct {
	net.Listener
	failures int
}

func (l *scarce) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestTheListenerOutlivesAFailureToAccept(t *testing.T) {
	streams := turntest.NewHanded()
	config := Config{RelayPorts: PortRange{1, 2}, RelayAddress: netip.MustParseAddr("127.0.0.1")}
	listener := newStreamListener(&scarce{streams, 1}, config, usualLimits)
	defer listener.Close()
	go func() {
		if conn, err := streams.Dial(&net.TCPAddr{}); err == nil {
			t.Cleanup(func() { conn.Close() })
		}
	}()
	if _, err := listener.Accept(); err != nil {
		t.Error(err)
	}
	listener.Close()
	if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// A client without an allocation keeps its connection for ten seconds. One address must not take all connections.
func TestOneAddressLeavesConnectionsForOthers(t *testing.T) {
	const size = 40
	r, _ := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 4, func(r *Server) { r.config.RelayPorts = PortRange{26000, 26000 + size - 1} })
	open := func(address string, i int) bool {
		conn := dialAs(t, r, netip.AddrPortFrom(netip.MustParseAddr(address), uint16(2000+i)))
		client := turntest.OverTLS(t, conn)
		if _, err := client.Conn.WriteTo(stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw, nil); err != nil {
			return false
		}
		_ = conn.SetReadDeadline(time.Now().Add(enginetest.Patience))
		_, err := conn.Read(make([]byte, 1500))
		return err == nil
	}
	kept := 0
	for i := range size {
		if open("203.0.113.7", i) {
			kept++
		}
	}
	if kept != size/2 {
		t.Errorf("one address has %d of %d connections", kept, size)
	}
	if !open("203.0.113.8", 1) {
		t.Error("another address has none")
	}
}
