package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

func TestKindsOfFailures(t *testing.T) {
	problem := func(kind, detail string) error {
		return fmt.Errorf("[hub.test] Obtain: %w", acme.Problem{Type: acme.ProblemTypeNamespace + kind, Detail: detail})
	}
	fetching := func(err error) error { return &url.Error{Op: "Get", URL: "https://issuer.test/dir", Err: err} }
	for _, c := range []struct {
		err  error
		want string
	}{
		{problem("rateLimited", "too many certificates already issued"), "rate-limited"},
		{problem("dns", "DNS problem: NXDOMAIN looking up A for hub.test"), "dns"},
		{problem("connection", "Timeout during connect (likely firewall problem)"), "connection"},
		{problem("unauthorized", "Invalid response from http://hub.test/.well-known/acme-challenge/x: 404"), "unauthorized"},
		{problem("unauthorized", "Failed to connect to 127.0.0.1:1 for the tls-alpn-01 challenge"), "connection"},
		{problem("malformed", `Could not resolve URL "hub.test"`), "dns"},
		{problem("malformed", "Invalid contact"), "malformed"},
		{problem("externalAccountRequired", ""), "external-account-required"},
		{problem("badCSR", ""), "bad-csr"},
		{problem("caa", ""), "caa"},
		{problem("tls", ""), "tls"},
		{fmt.Errorf("%w", acme.Problem{Type: "about:blank", Status: 500}), "other"},
		{acme.Problem{Type: acme.ProblemTypeCompound, Subproblems: []acme.Subproblem{
			{Problem: acme.Problem{Type: acme.ProblemTypeCAA}},
		}}, "caa"},
		{fetching(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), "issuer-unreachable"},
		{fetching(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "issuer.test", IsNotFound: true}}), "issuer-name"},
		{fetching(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), "issuer-untrusted"},
		{&fs.PathError{Op: "open", Path: "/state/caddy", Err: fs.ErrPermission}, "storage"},
		{errors.New("hub.test: no solvers available for remaining challenges (configured=[tls-alpn-01] offered=[http-01])"), "no-challenge"},
		{errors.New("account pre-registration callback: failed getting EAB credentials: HTTP 429"), "account"},
		{errors.New("an unforeseen error"), "other"},
	} {
		if got := kindOf(c.err); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}

func TestFailuresOfAName(t *testing.T) {
	l := &ledger{last: map[string]Failure{}}
	failed := map[string]any{"identifier": "hub.test", "issuers": []string{"first", "second"}, "error": errors.New("no")}
	l.add(failed)
	l.add(map[string]any{"identifier": "other.test", "error": context.Canceled})
	list := l.list()
	if len(list) != 1 || list[0].Issuer != "second" || list[0].Error != "no" || list[0].At.IsZero() {
		t.Errorf("%+v", list)
	}
	l.clear(map[string]any{"identifier": "other.test"})
	l.forget(list[0].At)
	if !l.has("hub.test") {
		t.Error("forgotten too early")
	}
	l.forget(time.Now().Add(time.Second))
	l.add(failed)
	l.clear(failed)
	if l.has("hub.test") {
		t.Error("still there after a certificate was obtained")
	}
}

// testConn tells whether it was closed.
type testConn struct {
	net.Conn
	closed bool
}

func (c *testConn) Close() error { c.closed = true; return nil }

func TestTheLongestWaitingIsCut(t *testing.T) {
	q := &queue{limit: 2}
	conns := []*testConn{{}, {}, {}, {}}
	q.enter(conns[0])
	leave := q.enter(conns[1])
	q.enter(conns[2])
	if !conns[0].closed || conns[1].closed || q.len() != 2 {
		t.Errorf("closed %t %t, %d wait", conns[0].closed, conns[1].closed, q.len())
	}
	leave()
	leave()
	q.enter(conns[3])
	if conns[1].closed || conns[2].closed || q.len() != 2 {
		t.Errorf("closed %t %t, %d wait", conns[1].closed, conns[2].closed, q.len())
	}
}

func TestConnectionsGoToTheNewestListener(t *testing.T) {
	b := newBoard("test")
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	accepted := make(chan string)
	accept := func(name string, s *seat) {
		if _, err := s.Accept(); err == nil {
			accepted <- name
		}
	}
	handed := make(chan error, 1)
	hand := func() { handed <- b.hand("x", near) }
	want := func(name string) {
		t.Helper()
		if err := <-handed; err != nil {
			t.Fatal(err)
		}
		if got := <-accepted; got != name {
			t.Errorf("%s got it, not %s", got, name)
		}
	}

	go hand() // before any server listens
	left := 0
	first := b.listen(t.Context(), "x", func() { left++ })
	go accept("first", first)
	want("first")

	ctx, cancel := context.WithCancel(t.Context())
	second := b.listen(ctx, "x", func() {})
	go accept("first", first)
	go accept("second", second)
	go hand()
	want("second")

	cancel() // a configuration that failed, whose listener is never closed
	go hand()
	want("first")

	first.Close()
	first.Close()
	if _, err := first.Accept(); !errors.Is(err, net.ErrClosed) || left != 1 {
		t.Errorf("%v, left %d times", err, left)
	}
}
