package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pion/stun/v3"

	"lkhub/engine/internal/certtest"
)

// A server's answer says what it is. Of a silent server nothing is known.
func TestAWebServerIsToldFromATURNServer(t *testing.T) {
	authority := certtest.NewAuthority(t, "Hub CA")
	config := &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, []string{turnHost}, nil)}}
	trusted := access{hosts: hosts{turnHost: netip.MustParseAddr("127.0.0.1")}, roots: x509.NewCertPool()}
	trusted.roots.AddCert(authority.Certificate)
	for _, c := range []struct {
		name        string
		serve       func(net.Listener)
		isWeb       bool
		connections int32
	}{
		{"a web server that waits for the end of a line", func(l net.Listener) { _ = http.Serve(l, http.NotFoundHandler()) }, true, 2},
		{"a web server that refuses at once", answering("HTTP/1.1 400 Bad Request\r\n\r\n"), true, 1},
		{"a TURN server", answering(string(stun.MustBuild(stun.TransactionID, stun.BindingSuccess).Raw)), false, 1},
		{"a silent one", answering(""), false, 2},
		{"one that hangs up", eachConn(func(conn net.Conn) { _ = conn.Close() }), false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			plain, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer plain.Close()
			address := plain.Addr().String()
			listener := &countingListener{Listener: tls.NewListener(plain, config)}
			go c.serve(listener)
			// For so long, a server that is not a web server may be taken for one.
			ctx, cancel := context.WithTimeout(t.Context(), 4*turnPatience)
			defer cancel()
			w := &turnAccess{ctx: ctx, access: trusted}

			conn, err := turnDialer{w}.Dial("tcp", strings.Replace(address, "127.0.0.1", turnHost, 1))
			if err != nil {
				t.Fatal(err)
			}
			context.AfterFunc(ctx, func() { _ = conn.Close() })
			// The ID is not random: one in twenty would contain the end of a line, and a web server would answer at
			// once.
			id := stun.NewTransactionIDSetter([stun.TransactionIDSize]byte{1})
			if _, err := conn.Write(stun.MustBuild(id, stun.BindingRequest).Raw); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, conn) // until the other side hangs up

			f, _ := w.faults()
			if (f != nil) != c.isWeb || c.isWeb && ctx.Err() != nil {
				t.Errorf("fault %v, context %v", f, ctx.Err())
			}
			if f != nil && (f.stage != StageGather || !strings.HasPrefix(f.detail, address+" speaks HTTP, not TURN: ")) {
				t.Errorf("%v", f)
			}
			if got := listener.accepted.Load(); got != c.connections {
				t.Errorf("%d connections, want %d", got, c.connections)
			}
		})
	}
}

// answering reads the first bytes of each connection, sends this text, and waits until the other side hangs up.
func answering(text string) func(net.Listener) {
	return eachConn(func(conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		_, _ = io.Copy(io.Discard, conn)
	})
}

// eachConn reads something from each connection, and then calls then with it.
func eachConn(then func(net.Conn)) func(net.Listener) {
	return func(listener net.Listener) {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 64))
				then(conn)
			}()
		}
	}
}

type countingListener struct {
	net.Listener
	accepted atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return conn, err
}
