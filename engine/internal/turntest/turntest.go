// Package turntest has a client that speaks TURN message by message, and credentials, for tests.
package turntest

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

// The defaults of a hub. Two relays share the default range of ports.
const (
	UsualPorts = 5000
	Quota      = 12
)

// Secret and Realm are the same for all relays in tests.
const (
	Secret = "the relay's secret"
	Realm  = "hub"
)

// Credential is what LiveKit hands a participant for a TURN server with a secret.
type Credential struct{ Username, Password string }

// CredentialFor makes a credential as LiveKit does.
func CredentialFor(participant string, expires time.Duration) Credential {
	username := fmt.Sprintf("%d:%s", time.Now().Add(expires).Unix(), participant)
	mac := hmac.New(sha1.New, []byte(Secret))
	mac.Write([]byte(username))
	return Credential{username, base64.StdEncoding.EncodeToString(mac.Sum(nil))}
}

// Start runs a relay until the test ends. It returns when the relay is ready.
func Start(t *testing.T, server interface {
	Run(ready func()) error
	Stop()
}) {
	t.Helper()
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- server.Run(func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Handed is a listener for connections that a test hands over, from clients that it makes up.
type Handed struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

// NewHanded is a listener without connections yet.
func NewHanded() *Handed { return &Handed{conns: make(chan net.Conn), done: make(chan struct{})} }

func (h *Handed) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *Handed) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

func (h *Handed) Addr() net.Addr { return &net.TCPAddr{} }

// Dial hands over one end of a connection and returns the other.
func (h *Handed) Dial(client net.Addr) (net.Conn, error) {
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

// As makes conn the connection of a client with this address.
func As(conn net.Conn, client net.Addr) net.Conn { return from{conn, client} }

var clientPort atomic.Uint32

// NextClient is an address that no other client has.
func NextClient() netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("203.0.113.1"), uint16(1024+clientPort.Add(1)))
}

// Client speaks TURN message by message, to send what a well-behaved client never would.
type Client struct {
	test  *testing.T
	Conn  net.PacketConn
	nonce stun.Nonce

	relayed net.Addr // of the last allocation
}

// NewClient speaks over conn, which leads to one relay.
func NewClient(t *testing.T, conn net.PacketConn) *Client {
	return &Client{test: t, Conn: conn}
}

// OverTLS is a client of the relay behind an edge.
func OverTLS(t *testing.T, conn net.Conn) *Client {
	return &Client{test: t, Conn: turn.NewSTUNConn(conn)}
}

// Ask sends a request with a credential and returns the answer's error code, 0 for success.
func (c *Client) Ask(method stun.Method, credential Credential, attributes ...stun.Setter) stun.ErrorCode {
	c.test.Helper()
	key := stun.MessageIntegrity(turn.GenerateAuthKey(credential.Username, Realm, credential.Password))
	for {
		setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)
		answer := c.Exchange(append(setters, stun.NewUsername(credential.Username), stun.NewRealm(Realm), &c.nonce, key)...)
		if answer.Type.Class == stun.ClassSuccessResponse {
			if method == stun.MethodAllocate {
				var relayed stun.XORMappedAddress
				if err := relayed.GetFromAs(answer, stun.AttrXORRelayedAddress); err != nil {
					c.test.Fatal(err)
				}
				c.relayed = &net.UDPAddr{IP: relayed.IP, Port: relayed.Port}
			}
			return 0
		}
		var code stun.ErrorCodeAttribute
		if err := code.GetFrom(answer); err != nil {
			c.test.Fatal(err)
		}
		if code.Code != stun.CodeStaleNonce {
			return code.Code
		}
		if err := c.nonce.GetFrom(answer); err != nil {
			c.test.Fatal(err)
		}
	}
}

// Exchange sends a request and waits for its answer.
func (c *Client) Exchange(setters ...stun.Setter) *stun.Message {
	c.test.Helper()
	request, err := stun.Build(setters...)
	if err != nil {
		c.test.Fatal(err)
	}
	if _, err := c.Conn.WriteTo(request.Raw, nil); err != nil {
		c.test.Fatal(err)
	}
	_ = c.Conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	buffer := make([]byte, 1500)
	n, _, err := c.Conn.ReadFrom(buffer)
	if err != nil {
		c.test.Fatalf("no answer to %s: %v", request.Type, err)
	}
	answer := &stun.Message{Raw: buffer[:n]}
	if err := answer.Decode(); err != nil {
		c.test.Fatal(err)
	}
	return answer
}

// AllocateAt returns the relayed address.
func (c *Client) AllocateAt(credential Credential) net.Addr {
	c.test.Helper()
	if code := c.Allocate(credential); code != 0 {
		c.test.Fatalf("Allocate: %d", code)
	}
	return c.relayed
}

// Allocate asks for a UDP relay port and returns the error code of the answer, 0 for success.
func (c *Client) Allocate(credential Credential) stun.ErrorCode {
	c.test.Helper()
	return c.Ask(stun.MethodAllocate, credential, RequestUDP)
}

// Deallocate gives the relay port back.
func (c *Client) Deallocate(credential Credential) stun.ErrorCode {
	c.test.Helper()
	return c.Ask(stun.MethodRefresh, credential, stun.RawAttribute{Type: stun.AttrLifetime, Value: []byte{0, 0, 0, 0}})
}

// Attributes of requests.
var (
	RequestUDP    = stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{17, 0, 0, 0}}
	RequestTCP    = stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{6, 0, 0, 0}}
	FirstChannel  = stun.RawAttribute{Type: stun.AttrChannelNumber, Value: []byte{0x40, 0, 0, 0}}
	RequestedEven = stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0x80}}
)

// PeerAddress is the XOR-PEER-ADDRESS attribute.
type PeerAddress net.UDPAddr

func (p PeerAddress) AddTo(m *stun.Message) error {
	return stun.XORMappedAddress{IP: p.IP, Port: p.Port}.AddToAs(m, stun.AttrXORPeerAddress)
}

// ListenUDP is a socket on loopback.
func ListenUDP(t *testing.T) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// DialUDP sends to one address over IPv4.
func DialUDP(t *testing.T, to net.Addr) net.PacketConn {
	t.Helper()
	return Connect(ListenUDP(t), to)
}

// Connect sends all that is written to conn to one address, as a stream does.
func Connect(conn net.PacketConn, to net.Addr) net.PacketConn { return connected{conn, to} }

type connected struct {
	net.PacketConn
	to net.Addr
}

func (c connected) WriteTo(packet []byte, _ net.Addr) (int, error) {
	return c.PacketConn.WriteTo(packet, c.to)
}
