package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"lkhub/engine/internal/certtest"
)

// Each case is what Go's own verification finds in a handshake.
func TestExplainTLS(t *testing.T) {
	root := certtest.NewAuthority(t, "Trusted Root")
	issuer, stranger := root.Authority(t, "Issuer"), certtest.NewAuthority(t, "Hub CA")
	host := []string{turnHost, "192.0.2.1"}
	tomorrow := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
	}
	trusted := access{roots: x509.NewCertPool()}
	trusted.roots.AddCert(root.Certificate)
	for _, c := range []struct {
		name    string
		host    string
		present tls.Certificate
		reason  Reason // "" is success
		says    string
	}{
		{"right", turnHost, issuer.Issue(t, host, nil, issuer.Certificate), "", ""},
		{"right, by address", "192.0.2.1", issuer.Issue(t, host, nil, issuer.Certificate), "", ""},
		{"expired", turnHost, issuer.Issue(t, host, certtest.Expired, issuer.Certificate), Expired, "it expired on 20"},
		{"too early", turnHost, issuer.Issue(t, host, tomorrow, issuer.Certificate), NotYetValid, "it is not valid before"},
		{"another name", "hub.example.com", issuer.Issue(t, host, nil, issuer.Certificate), WrongName, "it is for turn.example.com, 192.0.2.1, not for hub.example.com"},
		{"no name", turnHost, issuer.Issue(t, nil, nil, issuer.Certificate), WrongName, "it is for no name at all"},
		{"a private authority", turnHost, stranger.Issue(t, host, nil), UnknownIssuer, "it leads to Hub CA, an authority that is unknown here"},
		{"an authority whose name has lines", turnHost, certtest.NewAuthority(t, "A\nerror: \x1b[2JB").Issue(t, host, nil),
			UnknownIssuer, "it leads to A error: [2JB, an authority"},
		{"a private authority below another", turnHost,
			stranger.Authority(t, "Below").Issue(t, host, nil), UnknownIssuer, "it leads to Below, an authority"},
		{"without its issuer", turnHost, issuer.Issue(t, host, certtest.Fetchable), ChainGap, "the chain is incomplete: the server doesn't send the certificate of its issuer Issuer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := &fault{}
			if err := shakeHands(t, trusted, c.host, &tls.Config{Certificates: []tls.Certificate{c.present}}); err != nil {
				said = explainTLS("192.0.2.1:443", err, c.host, time.Now())
			}
			if said.reason != c.reason || !strings.Contains(said.detail, c.says) {
				t.Errorf("%q: %q, want %q: %q", said.reason, said.detail, c.reason, c.says)
			}
		})
	}
}

func TestExplainTLSWithoutACertificate(t *testing.T) {
	trusted := access{}
	refusing := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}
	got := explainTLS("server", shakeHands(t, trusted, turnHost, refusing), turnHost, time.Now())
	if got.reason != TLSAlert || !strings.HasPrefix(got.detail, "server refused the TLS handshake: ") {
		t.Errorf("no certificate: %v", got)
	}
	for name, c := range map[string]struct {
		server func(net.Conn)
		reason Reason
		says   string
	}{
		"HTTP":      {func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, NotTLS, "doesn't speak TLS"},
		"hangs up":  {func(c net.Conn) { _ = c.Close() }, TLSClosed, "closed the connection during the TLS handshake"},
		"is silent": {func(net.Conn) {}, TLSSilent, "did not answer the TLS handshake"},
	} {
		client, server := connection(t)
		go func() {
			_, _ = server.Read(make([]byte, 4096))
			c.server(server)
		}()
		patience := 10 * time.Second
		if c.reason == TLSSilent {
			patience = 100 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := trusted.handshake(ctx, client, turnHost)
		if got := explainTLS("it", err, turnHost, time.Now()); got.reason != c.reason || got.detail != "it "+c.says {
			t.Errorf("%s: %v (%v)", name, got, err)
		}
		cancel()
	}
}

func TestASelfSignedCertificateIsCalledSo(t *testing.T) {
	alone := certtest.NewAuthority(t, "my server")
	if got := explainIssuer([]*x509.Certificate{alone.Certificate}, time.Now()); got.reason != SelfSigned {
		t.Error(got)
	}
}

// shakeHands is a handshake of a client with a server.
func shakeHands(t *testing.T, w access, host string, config *tls.Config) error {
	t.Helper()
	client, server := connection(t)
	go func() { _ = tls.Server(server, config).Handshake() }()
	_, err := w.handshake(t.Context(), client, host)
	return err
}

// connection is both ends of one.
func connection(t *testing.T) (client, server net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if client, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}
