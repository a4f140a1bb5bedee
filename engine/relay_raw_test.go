package main

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"
	"github.com/pion/turn/v5"
)

const (
	testSecret = "the relay's secret"
	testRealm  = "hub"
)

// credential is what LiveKit hands a participant for a TURN server with a secret.
type credential struct{ username, password string }

func credentialFor(participant string, expires time.Duration) credential {
	username := fmt.Sprintf("%d:%s", time.Now().Add(expires).Unix(), participant)
	mac := hmac.New(sha1.New, []byte(testSecret))
	mac.Write([]byte(username))
	return credential{username, base64.StdEncoding.EncodeToString(mac.Sum(nil))}
}

// dialer opens a way to the relay, for one client.
type dialer func(t *testing.T, r *relay) net.PacketConn

// ways are all that lead to a relay. What it refuses on one, it has to refuse on every one.
var ways = map[string]dialer{"udp": dialUDP, "stream": dialStream}

func overEveryWay(t *testing.T, test func(t *testing.T, dial dialer)) {
	for name, dial := range ways {
		t.Run(name, func(t *testing.T) { test(t, dial) })
	}
}

func dialUDP(t *testing.T, r *relay) net.PacketConn {
	t.Helper()
	return connected{listenUDP(t), net.UDPAddrFromAddrPort(r.config.Listen[0])}
}

// connected sends all to one address, as a stream does.
type connected struct {
	net.PacketConn
	to net.Addr
}

func (c connected) WriteTo(packet []byte, _ net.Addr) (int, error) {
	return c.PacketConn.WriteTo(packet, c.to)
}

func dialStream(t *testing.T, r *relay) net.PacketConn {
	t.Helper()
	return turn.NewSTUNConn(dialAs(t, r, nextClient()))
}

// dialAs connects as the edge does for a client with this address.
func dialAs(t *testing.T, r *relay, client netip.AddrPort) net.Conn {
	t.Helper()
	conn, err := r.streams.(*handed).dial(net.TCPAddrFromAddrPort(client))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// handed is a listener for connections that a test hands over, from clients that it makes up.
type handed struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newHanded() *handed { return &handed{conns: make(chan net.Conn), done: make(chan struct{})} }

func (h *handed) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handed) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

func (h *handed) Addr() net.Addr { return &net.TCPAddr{} }

// dial hands over one end of a connection and returns the other.
func (h *handed) dial(client net.Addr) (net.Conn, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	far, err := listener.Accept()
	if err != nil {
		return nil, errors.Join(err, near.Close())
	}
	select {
	case h.conns <- from{far, client}:
		return near, nil
	case <-h.done:
		return nil, errors.Join(net.ErrClosed, near.Close(), far.Close())
	}
}

// from is a connection of a made-up client.
type from struct {
	net.Conn
	client net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.client }

var clientPort atomic.Uint32

func nextClient() netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("203.0.113.1"), uint16(1024+clientPort.Add(1)))
}

// rawClient speaks TURN message by message, to send what a well-behaved client never would.
type rawClient struct {
	t     *testing.T
	conn  net.PacketConn
	nonce stun.Nonce

	relayed net.Addr // of the last allocation
}

func newRawClient(t *testing.T, r *relay, dial dialer) *rawClient {
	t.Helper()
	return &rawClient{t: t, conn: dial(t, r)}
}

// overTLS is a client of the relay behind an edge.
func overTLS(t *testing.T, conn net.Conn) *rawClient {
	return &rawClient{t: t, conn: turn.NewSTUNConn(conn)}
}

// ask sends a request with a credential and returns the answer's error code, 0 for success.
func (c *rawClient) ask(method stun.Method, who credential, attributes ...stun.Setter) stun.ErrorCode {
	c.t.Helper()
	key := stun.MessageIntegrity(turn.GenerateAuthKey(who.username, testRealm, who.password))
	for {
		setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)
		answer := c.exchange(append(setters, stun.NewUsername(who.username), stun.NewRealm(testRealm), &c.nonce, key)...)
		if answer.Type.Class == stun.ClassSuccessResponse {
			if method == stun.MethodAllocate {
				var relayed stun.XORMappedAddress
				if err := relayed.GetFromAs(answer, stun.AttrXORRelayedAddress); err != nil {
					c.t.Fatal(err)
				}
				c.relayed = &net.UDPAddr{IP: relayed.IP, Port: relayed.Port}
			}
			return 0
		}
		var code stun.ErrorCodeAttribute
		if err := code.GetFrom(answer); err != nil {
			c.t.Fatal(err)
		}
		if code.Code != stun.CodeStaleNonce {
			return code.Code
		}
		if err := c.nonce.GetFrom(answer); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *rawClient) exchange(setters ...stun.Setter) *stun.Message {
	c.t.Helper()
	request, err := stun.Build(setters...)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.WriteTo(request.Raw, nil); err != nil {
		c.t.Fatal(err)
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	buffer := make([]byte, 1500)
	n, _, err := c.conn.ReadFrom(buffer)
	if err != nil {
		c.t.Fatalf("no answer to %s: %v", request.Type, err)
	}
	answer := &stun.Message{Raw: buffer[:n]}
	if err := answer.Decode(); err != nil {
		c.t.Fatal(err)
	}
	return answer
}

// allocateAt returns the relayed address.
func (c *rawClient) allocateAt(who credential) net.Addr {
	c.t.Helper()
	if code := c.allocate(who); code != 0 {
		c.t.Fatalf("Allocate: %d", code)
	}
	return c.relayed
}

func (c *rawClient) allocate(who credential) stun.ErrorCode {
	c.t.Helper()
	return c.ask(stun.MethodAllocate, who, requestUDP)
}

func (c *rawClient) deallocate(who credential) stun.ErrorCode {
	c.t.Helper()
	return c.ask(stun.MethodRefresh, who, stun.RawAttribute{Type: stun.AttrLifetime, Value: []byte{0, 0, 0, 0}})
}

var (
	requestUDP    = stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{17, 0, 0, 0}}
	requestTCP    = stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{6, 0, 0, 0}}
	firstChannel  = stun.RawAttribute{Type: stun.AttrChannelNumber, Value: []byte{0x40, 0, 0, 0}}
	requestedEven = stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0x80}}
)

// peerAddress is the XOR-PEER-ADDRESS attribute.
type peerAddress net.UDPAddr

func (p peerAddress) AddTo(m *stun.Message) error {
	return stun.XORMappedAddress{IP: p.IP, Port: p.Port}.AddToAs(m, stun.AttrXORPeerAddress)
}
