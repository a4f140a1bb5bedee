package main

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lkhub/engine/internal/enginetest"
)

// shortDeadline is lkhub_deadline and read_header_timeout in tests that wait for them: short, but long enough for
// handshakes on a machine that is busy with other tests.
const shortDeadline = 2 * time.Second

// shortStall is how long an answer waits for its client in such tests. What the kernel takes does not wait, however
// slow the machine is.
const shortStall = 500 * time.Millisecond

// Each connection must be told to go, or be cut off, within the deadlines: TLS and what follows it have one each.
func TestConnectionsOfNoClientAreCut(t *testing.T) {
	e := newEdge(t, map[string]string{"DEADLINE": shortDeadline.String()})
	e.start()
	hello := clientHello(t)
	random := make([]byte, 512)
	_, _ = rand.Read(random)
	for _, c := range []struct {
		name  string
		bytes []byte
		inTLS bool
	}{
		{"silence", nil, false},
		{"half a ClientHello", hello[:len(hello)/2], false},
		{"a ClientHello and nothing more", hello, false},
		{"plain HTTP", []byte("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n"), false},
		{"plain STUN", []byte("\x00\x01\x00\x00\x21\x12\xa4\x42123456789012"), false},
		{"random bytes", random, false},
		{"silence after TLS", nil, true},
		{"half a STUN type after TLS", []byte{0}, true},
		{"half a request after TLS", []byte("GET / HTTP/1.1\r\nHost: hub.te"), true},
		{"random bytes after TLS", random, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var conn net.Conn
			var err error
			if c.inTLS {
				conn, err = e.dialTLS("hub.test")
			} else {
				conn, err = net.Dial("tcp", "127.0.0.1:"+e.port)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			began := time.Now()
			_, _ = conn.Write(c.bytes)
			_ = conn.SetReadDeadline(began.Add(10 * shortDeadline))
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("still connected after %v", time.Since(began))
			}
		})
	}
	t.Cleanup(func() {
		e.mustServe()
		enginetest.Eventually(t, "no connection waits any more", func() bool {
			_, waiting, _ := e.connections()
			return waiting == 0
		})
	})
}

// The deadlines are only for clients that have not shown yet what they want.
func TestClientsOutliveTheDeadlines(t *testing.T) {
	e := newEdge(t, map[string]string{"DEADLINE": shortDeadline.String()})
	e.media.answer(echoWebSocket)
	e.start()
	socket, refresh := e.mustDialWebSocket(), mustRelay(t, e.mustDial("hub.test"))
	for end := time.Now().Add(3 * shortDeadline / 2); time.Now().Before(end); time.Sleep(shortDeadline / 10) {
		mustEcho(t, socket, "a WebSocket")
		refresh()
	}
}

// connections are the counts of the edge's status.
func (e *edgeTest) connections() (open, waiting, refused int) {
	e.Helper()
	counts := enginetest.AskControl(e.T, e.path("c"), "/status")["connections"].(map[string]any)
	return int(counts["open"].(float64)), int(counts["waiting"].(float64)), int(counts["refused"].(float64))
}

// clientHello is the first flight of a TLS client.
func clientHello(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go func() { _ = tls.Client(far, &tls.Config{ServerName: "hub.test"}).Handshake() }()
	hello := make([]byte, 4096)
	n, err := near.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}

func TestAForeignNameIsRefused(t *testing.T) {
	e := newEdge(t, nil)
	e.start()
	for _, name := range []string{"other.test", "hub.test.other", "xn--hub-0na.test"} {
		conn, err := e.dialTLS(name)
		if err == nil {
			conn.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), "remote error: tls: ") {
			t.Errorf("%s: %v, want a TLS alert", name, err)
		}
	}
	e.mustServe()
}

func TestAFloodOfHalfOpenHandshakes(t *testing.T) {
	flood, few := 2000, 200 // by hand once with 10,000
	if text := os.Getenv("LKHUB_TEST_FLOOD"); text != "" {
		flood, _ = strconv.Atoi(text)
	}
	e := newEdge(t, map[string]string{"DEADLINE": "3s"})
	e.start()
	e.mustServe()
	before := residentKiB(t, e.cmd.Process.Pid)
	hello := clientHello(t)
	// The connections come from 20 addresses, so that the limit for one address does not do all the work.
	conns := make([]net.Conn, flood)
	began := time.Now()
	var wg sync.WaitGroup
	for part := range 20 {
		wg.Go(func() {
			dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(part+1))}}
			for i := part; i < flood; i += 20 {
				conn, err := dialer.Dial("tcp", "127.0.0.1:"+e.port)
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				conns[i] = conn
				_, _ = conn.Write(hello[:i%len(hello)])
			}
		})
	}
	wg.Wait()
	defer func() {
		for _, conn := range conns {
			if conn != nil {
				conn.Close()
			}
		}
	}()
	e.mustServe()
	open, waiting, refused := e.connections()
	during := residentKiB(t, e.cmd.Process.Pid)
	t.Logf("%d half-open after %v: %d open, %d waiting, %d refused; %d KiB resident before, %d with them",
		flood, time.Since(began).Round(time.Millisecond), open, waiting, refused, before, during)
	if waiting < few {
		t.Errorf("%d are waiting; this test tries nothing", waiting)
	}
	if each := (during - before) / max(1, min(flood, 4096)); each > 64 {
		t.Errorf("%d KiB for each half-open handshake", each)
	}
	enginetest.Eventually(t, "all of them are cut", func() bool {
		open, waiting, _ := e.connections()
		return waiting == 0 && open < few
	})
	e.mustServe()
	t.Logf("%d KiB resident afterwards", residentKiB(t, e.cmd.Process.Pid))
}

func residentKiB(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip(err) // not Linux
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	var kib int
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

func TestOneAddressHasSoManyConnections(t *testing.T) {
	e := newEdge(t, map[string]string{"PER_ADDRESS": "3"})
	e.start()
	var first net.Conn
	for range 3 {
		conn := e.mustDial("hub.test")
		if first == nil {
			first = conn
		}
	}
	if conn, err := e.dialTLS("hub.test"); err == nil {
		conn.Close()
		t.Error("a fourth connection was let in")
	}
	other := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}}
	conn, err := tls.DialWithDialer(other, "tcp", "127.0.0.1:"+e.port, e.tlsConfig("hub.test"))
	if err != nil {
		t.Fatalf("another address: %v", err)
	}
	conn.Close()
	first.Close()
	enginetest.Eventually(t, "a place is free again", func() bool {
		conn, err := e.dialTLS("hub.test")
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// A lack of descriptors must not end the listener, as it ends caddy-l4's.
func TestFewDescriptors(t *testing.T) {
	e := newEdge(t, map[string]string{"PER_ADDRESS": "100000", "DEADLINE": "1s"})
	e.start("/bin/sh", "-c", `ulimit -n 300; exec "$0" "$@"`)
	conns := make([]net.Conn, 400)
	for i := range conns {
		conn, err := net.Dial("tcp", "127.0.0.1:"+e.port)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns[i] = conn
	}
	enginetest.Eventually(t, "what is too much is refused", func() bool {
		_, _, refused := e.connections()
		return refused > len(conns)/2
	})
	enginetest.Eventually(t, "the connections that wait are closed", func() bool {
		_, waiting, _ := e.connections()
		return waiting == 0
	})
	e.mustServe()
}
