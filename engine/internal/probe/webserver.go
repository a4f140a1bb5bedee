package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pion/stun/v3"
)

const (
	// turnPatience is how long a TURN server may be silent before it is asked what it is; one that answers does so
	// within a round trip.
	turnPatience = 500 * time.Millisecond
	// askingTime bounds the question: a handshake and an answer.
	askingTime = 3 * time.Second
)

// startOfHTTP begins every answer of HTTP/1. What a TURN server says begins with 00 or 01 in bits and, before it has
// given a channel out, with 00.
var startOfHTTP = []byte("HTTP/")

// recognize passes a connection to a TURN server on, and where a web server is at the other end says so and hangs up.
// Many web servers are silent there, since a STUN message is no whole line to them, and pion would wait for the rest of
// the path's time.
func (w *turnWay) recognize(conn *tls.Conn, host, port string) net.Conn {
	answered := make(chan struct{})
	go func() {
		select {
		case <-answered:
		case <-w.ctx.Done():
		case <-time.After(turnPatience):
			w.refuseHTTP(conn, port, w.ask(conn.RemoteAddr().String(), host))
		}
	}()
	return &firstRead{Conn: conn, then: func(said []byte) {
		close(answered)
		w.refuseHTTP(conn, port, said)
	}}
}

func (w *turnWay) refuseHTTP(conn *tls.Conn, port string, said []byte) {
	if bytes.HasPrefix(said, startOfHTTP) {
		w.fail(failed(StageGather, TURNIsWeb, "%s", explainWebServer(conn.RemoteAddr())).
			with("address", conn.RemoteAddr().String()).with("told_port", port))
		_ = conn.Close()
	}
}

func explainWebServer(address net.Addr) string {
	return address.String() + " speaks HTTP, not TURN: clients are sent to a web server, and get no media where a network " +
		"lets nothing but TLS out"
}

// ask returns how a server's answer to a STUN message begins when the end of the line, which web servers wait for, comes
// after it. On a connection of its own, so that a TURN server that is merely slow is not disturbed.
func (w *turnWay) ask(address, host string) []byte {
	ctx, cancel := context.WithTimeout(w.ctx, askingTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	encrypted, err := w.way.handshake(ctx, conn, host)
	if err != nil {
		return nil
	}
	question := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	if _, err := encrypted.Write(append(question, "\r\n\r\n"...)); err != nil {
		return nil
	}
	said := make([]byte, len(startOfHTTP))
	n, _ := io.ReadFull(encrypted, said)
	return said[:n]
}

// firstRead is a connection that says what came back first, before whoever reads has it.
type firstRead struct {
	net.Conn
	once sync.Once
	then func(said []byte)
}

func (c *firstRead) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.once.Do(func() { c.then(b[:n]) })
	return n, err
}
