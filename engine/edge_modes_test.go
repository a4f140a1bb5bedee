package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// tailscaled stands for the daemon: of its local API what tscert asks, and no network.
type tailscaled struct {
	domains atomic.Pointer[[]string]
	pair    []byte // key and chain, as ?type=pair gives them
}

const tailnetName = "hub.tail1234.ts.net"

func newTailscaled(t *testing.T, e *edgeTest) *tailscaled {
	t.Helper()
	e.ca.issue(t, e.path("ts.crt"), e.path("ts.key"), tailnetName)
	key, _ := os.ReadFile(e.path("ts.key"))
	certificate, _ := os.ReadFile(e.path("ts.crt"))
	d := &tailscaled{pair: append(key, certificate...)}
	listener, err := net.Listen("unix", e.path("ts.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TS_SOCKET", e.path("ts.sock"))
	server := &http.Server{Handler: d, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return d
}

func (d *tailscaled) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/localapi/v0/status":
		_ = json.NewEncoder(w).Encode(map[string]any{"CertDomains": *d.domains.Load()})
	case "/localapi/v0/cert/" + tailnetName:
		_, _ = w.Write(d.pair)
	default:
		http.NotFound(w, r)
	}
}

func TestCertificateFromTailscaled(t *testing.T) {
	for _, c := range []struct {
		name    string
		domains []string
		serves  bool
	}{
		{"HTTPS enabled", []string{tailnetName}, true},
		// Nobody else may be asked then: the tailnet's name would be told to an issuer elsewhere.
		{"HTTPS not enabled", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEdge(t, nil)
			newTailscaled(t, e).domains.Store(&c.domains)
			e.configure(e.useTLS("tls-tailscale.json"))
			status := e.start()
			conn, err := e.dialTLS(tailnetName)
			if err == nil {
				conn.Close()
			}
			if served := err == nil; served != c.serves {
				t.Errorf("served: %t (%v), want %t", served, err, c.serves)
			}
			if by, err := e.dialTLS("127.0.0.1"); err == nil {
				by.Close()
				t.Error("a client by address was served")
			}
			certificates, failures := status["certificates"].([]any), status["failures"].([]any)
			if c.serves && (len(certificates) != 1 || len(failures) != 0) || !c.serves && (len(certificates) != 0 || len(failures) != 1) {
				t.Errorf("status: %v", status)
			}
			if !c.serves && failures[0].(map[string]any)["kind"] != "tailscale" {
				t.Errorf("failure: %v", failures)
			}
			if log := e.log.String(); strings.Contains(log, "obtaining") || strings.Contains(log, "acme") {
				t.Errorf("an issuer was asked: %s", log)
			}
		})
	}
}

// A proxy in front says who the client is; LiveKit takes all of X-Forwarded-For for one address (utils.go).
func TestBehindAProxy(t *testing.T) {
	e := newEdge(t, nil)
	e.configure(func(config map[string]any) {
		for name := range config {
			delete(config, name)
		}
		for name, value := range e.fixture("external.json") {
			config[name] = value
		}
	})
	status := e.start()
	if certificates := status["certificates"].([]any); len(certificates) != 0 {
		t.Errorf("certificates: %v", certificates)
	}
	ask := func(from string) *http.Response {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", "127.0.0.1:"+e.http)
		}}}
		request, _ := http.NewRequest(http.MethodGet, "http://hub.test/rtc", nil)
		request.Header.Set("X-Forwarded-For", "203.0.113.66, 198.51.100.7") // the first is what the client said
		request.Header.Set("X-Forwarded-Proto", "https")
		request.Header.Set("CF-Connecting-IP", "203.0.113.66")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response
	}
	if response := ask("127.0.0.1"); response.StatusCode != http.StatusOK {
		t.Errorf("the proxy got %s", response.Status)
	}
	got := e.media.last(t).Header
	if values := got.Values("X-Forwarded-For"); len(values) != 1 || values[0] != "198.51.100.7" {
		t.Errorf("X-Forwarded-For is %v", values)
	}
	if got.Get("X-Forwarded-Proto") != "https" || got.Get("CF-Connecting-IP") != "" {
		t.Errorf("headers: %v", got)
	}
	if response := ask("127.0.1.1"); response.StatusCode != http.StatusForbidden {
		t.Errorf("a stranger got %s", response.Status)
	}
}

// An issuer that takes its time is no reason to keep the hub waiting.
func TestReadyWithoutACertificate(t *testing.T) {
	e, _ := newACME(t, issuerOptions{}, nil)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	e.values["DIRECTORY"] = "https://" + silent.Addr().String() + "/dir"
	e.configureACME(nil)
	status := e.start()
	if status["state"] != string(running) || len(status["certificates"].([]any))+len(status["failures"].([]any)) > 0 {
		t.Errorf("status: %v", status)
	}
	if pending := status["pending"].([]any); len(pending) != 1 || pending[0] != "hub.test" {
		t.Errorf("pending: %v", pending)
	}
	response, err := http.Get("http://127.0.0.1:" + e.http + "/trust")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}
