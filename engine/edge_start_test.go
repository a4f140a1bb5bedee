package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lkhub/engine/internal/certtest"
	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/turntest"
)

// edgeTest is an edge in its own process, with a stand-in for each neighbour.
type edgeTest struct {
	*testing.T
	dir    string // the state directory
	port   string // TLS
	http   string // plain
	values map[string]string
	ca     *certtest.Authority
	media  *neighbour
	serve  *neighbour
	held   []*os.File // listening sockets that it inherits
	cmd    *exec.Cmd
	stdout lockedBuffer
	log    lockedBuffer
}

// newEdge prepares what fixtures_edge/caddy.json names; overrides are values of its placeholders.
func newEdge(t *testing.T, overrides map[string]string) *edgeTest {
	t.Helper()
	dir, err := os.MkdirTemp("", "edge") // t.TempDir's is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	e := &edgeTest{T: t, dir: dir, port: enginetest.FreePort(t), http: enginetest.FreePort(t), ca: certtest.NewAuthority(t, "hub CA")}
	e.media, e.serve = newNeighbour(t, "media"), newNeighbour(t, "serve")
	e.values = map[string]string{
		"STATE": dir, "PORT": e.port, "HTTP": e.http, "MEDIA": e.media.port, "SERVE": e.serve.port,
		"DEADLINE": "10s", "PER_ADDRESS": "1000", "REQUESTS": "1000", "STALL": "30s",
	}
	maps.Copy(e.values, overrides)
	t.Cleanup(func() {
		if e.cmd != nil {
			_ = e.cmd.Process.Signal(syscall.SIGTERM)
			_ = e.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("the edge's stdout: %s\nand log:\n%s", e.stdout.String(), e.log.String())
		}
		os.RemoveAll(dir)
	})
	if err := os.Mkdir(filepath.Join(dir, "ca"), 0o700); err != nil {
		t.Fatal(err)
	}
	e.ca.Write(t, filepath.Join(dir, "ca/root.crt"), filepath.Join(dir, "ca/root.key"))
	enginetest.WritePrivate(t, map[string]string{filepath.Join(dir, "relay.secret"): turntest.Secret})
	e.configure(nil)
	return e
}

// fixture reads a file of fixtures_edge with its placeholders filled in.
func (e *edgeTest) fixture(name string) map[string]any {
	e.Helper()
	text, err := os.ReadFile(filepath.Join("fixtures_edge", name))
	if err != nil {
		e.Fatal(err)
	}
	for key, value := range e.values {
		text = bytes.ReplaceAll(text, []byte("@"+key+"@"), []byte(value))
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		e.Fatalf("%s: %v\n%s", name, err, text)
	}
	return config
}

// configure writes caddy.json, changed or not.
func (e *edgeTest) configure(change func(config map[string]any)) {
	e.Helper()
	config := e.fixture("caddy.json")
	if change != nil {
		change(config)
	}
	text, err := json.Marshal(config)
	if err != nil {
		e.Fatal(err)
	}
	enginetest.WritePrivate(e.T, map[string]string{e.path("caddy.json"): string(text)})
}

// useTLS is a change for configure: another source of certificates, from its own fixture.
func (e *edgeTest) useTLS(name string) func(config map[string]any) {
	return func(config map[string]any) {
		apps := config["apps"].(map[string]any)
		apps["tls"] = e.fixture(name)
		delete(apps, "pki")
	}
}

func (e *edgeTest) path(name string) string { return filepath.Join(e.dir, name) }

// start runs the edge until the test ends, and returns its status once it is ready.
func (e *edgeTest) start(prefix ...string) map[string]any {
	e.Helper()
	e.cmd = engineCommand("edge", "--config", e.path("caddy.json"), "--control", e.path("c"))
	for i := range e.held {
		e.cmd.Args = append(e.cmd.Args, "--listen-fd", strconv.Itoa(3+i))
	}
	e.cmd.ExtraFiles = e.held
	if len(prefix) > 0 {
		e.cmd.Args = append(prefix, e.cmd.Args...)
		e.cmd.Path = prefix[0]
	}
	e.cmd.Stdout, e.cmd.Stderr = &e.stdout, &e.log
	if err := e.cmd.Start(); err != nil {
		e.Fatal(err)
	}
	status := enginetest.AskControl(e.T, e.path("c"), "/ready")
	// The edge's own authority issues a moment later. Until then every handshake fails.
	if config, err := os.ReadFile(e.path("caddy.json")); err == nil && bytes.Contains(config, []byte(`"internal"`)) {
		return e.settled()
	}
	return status
}

// reload returns the answer's code and text.
func (e *edgeTest) reload() (int, string) {
	e.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", e.path("c")) },
	}}
	defer client.CloseIdleConnections()
	response, err := client.Post("http://control/reload", "", nil)
	if err != nil {
		e.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

func (e *edgeTest) tlsConfig(name string) *tls.Config {
	return &tls.Config{RootCAs: e.ca.Pool(), ServerName: name, NextProtos: []string{"http/1.1"}}
}

// dialTLS connects as a client that knows the hub by a name, or by its address.
func (e *edgeTest) dialTLS(name string) (*tls.Conn, error) {
	return dialTLSConfig("127.0.0.1:"+e.port, e.tlsConfig(name))
}

func dialTLSConfig(address string, config *tls.Config) (*tls.Conn, error) {
	return tls.DialWithDialer(&net.Dialer{Timeout: 30 * time.Second}, "tcp", address, config)
}

func loadPair(t *testing.T, certificate, key string) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

func (e *edgeTest) mustDial(name string) *tls.Conn {
	e.Helper()
	conn, err := e.dialTLS(name)
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() { conn.Close() })
	return conn
}

// client speaks HTTPS to the hub by the name that its URLs have.
func (e *edgeTest) client() *http.Client {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: e.ca.Pool()},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+e.port)
		},
	}
	e.Cleanup(transport.CloseIdleConnections)
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: transport, Timeout: 10 * time.Second, CheckRedirect: refuse}
}

// get returns code and body.
func (e *edgeTest) get(url string) (int, string) {
	e.Helper()
	response, err := e.client().Get(url)
	if err != nil {
		e.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// mustServe is what a good client sees.
func (e *edgeTest) mustServe() {
	e.Helper()
	if code, body := e.get("https://hub.test/"); code != http.StatusOK || body != "serve" {
		e.Errorf("a good client got %d %q", code, body)
	}
}

// neighbour stands for a process behind the edge: it answers with its name and keeps what it was asked.
type neighbour struct {
	name   string
	port   string
	server *httptest.Server

	mu       sync.Mutex
	requests []*http.Request
	handler  http.HandlerFunc
}

func newNeighbour(t *testing.T, name string) *neighbour {
	t.Helper()
	n := &neighbour{name: name, port: enginetest.FreePort(t)}
	n.up(t)
	t.Cleanup(n.down)
	return n
}

func (n *neighbour) up(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:"+n.port)
	if err != nil {
		t.Fatal(err)
	}
	n.server = httptest.NewUnstartedServer(n)
	n.server.Listener.Close()
	n.server.Listener = listener
	n.server.Start()
}

func (n *neighbour) down() {
	n.server.CloseClientConnections()
	n.server.Close()
}

func (n *neighbour) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.requests = append(n.requests, r)
	handler := n.handler
	n.mu.Unlock()
	if handler != nil {
		handler(w, r)
		return
	}
	_, _ = io.WriteString(w, n.name)
}

func (n *neighbour) answer(handler http.HandlerFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handler = handler
}

func (n *neighbour) last(t *testing.T) *http.Request {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.requests) == 0 {
		t.Fatalf("%s was not asked", n.name)
	}
	return n.requests[len(n.requests)-1]
}

// lockedBuffer is read while a process writes it.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
