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
	// turnPatience is how long a TURN server may be silent before the probe asks what it is. A TURN server answers
	// within a round trip.
	turnPatience = 500 * time.Millisecond
	// askingTime limits that question: a handshake and an answer.
	askingTime = 3 * time.Second
)

// startOfHTTP begins every answer of HTTP/1. A TURN server's messages begin with the bits 00 or 01, and with 00 until
// it has bound a channel.
var startOfHTTP = []byte("HTTP/")

// recognize passes on a connection to a TURN server. If a web server is at the other end, it records that and hangs up.
// Many web servers do not answer TURN, since a STUN message is not a whole line to them, and pion would wait until the
// path's time is over.
func (w *turnAccess) recognize(conn *tls.Conn, host, port string) net.Conn {
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

func (w *turnAccess) refuseHTTP(conn *tls.Conn, port string, said []byte) {
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

// ask returns the beginning of a server's answer to a STUN message that is followed by the end of a line, for which web
// servers wait. It uses its own connection, so that a TURN server that is merely slow is not disturbed.
func (w *turnAccess) ask(address, host string) []byte {
	ctx, cancel := context.WithTimeout(w.ctx, askingTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	encrypted, err := w.access.handshake(ctx, conn, host)
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

// firstRead is a connection that reports the first bytes that come back before its reader gets them.
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
