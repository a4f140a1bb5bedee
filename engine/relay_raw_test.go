package main

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
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

// rawClient speaks TURN message by message over one UDP socket, to send what a well-behaved client never would.
type rawClient struct {
	t     *testing.T
	conn  net.Conn
	nonce stun.Nonce
}

func newRawClient(t *testing.T, relay string) *rawClient {
	t.Helper()
	conn, err := net.Dial("udp", relay)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &rawClient{t: t, conn: conn}
}

// ask sends a request with a credential and returns the answer's error code, 0 for success.
func (c *rawClient) ask(method stun.Method, who credential, attributes ...stun.Setter) stun.ErrorCode {
	c.t.Helper()
	key := stun.MessageIntegrity(turn.GenerateAuthKey(who.username, testRealm, who.password))
	for {
		setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)
		answer := c.exchange(append(setters, stun.NewUsername(who.username), stun.NewRealm(testRealm), &c.nonce, key)...)
		if answer.Type.Class == stun.ClassSuccessResponse {
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
	if _, err := c.conn.Write(request.Raw); err != nil {
		c.t.Fatal(err)
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	buffer := make([]byte, 1500)
	n, err := c.conn.Read(buffer)
	if err != nil {
		c.t.Fatalf("no answer to %s: %v", request.Type, err)
	}
	answer := &stun.Message{Raw: buffer[:n]}
	if err := answer.Decode(); err != nil {
		c.t.Fatal(err)
	}
	return answer
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
