package probe

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"

// takePreflight takes the stages before the join against an address.
func takePreflight(t *testing.T, address string, timeout time.Duration) *fault {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	_, f := preflight(ctx, target, way{}, []string{token})
	return f
}

func TestPreflightTellsWhoAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		header [2]string
		stage  Stage // "" is success
		says   string
	}{
		{"LiveKit", 200, "success", [2]string{}, "", ""},
		{"a web site", 200, "<html>hello</html>", [2]string{}, StageHTTP, "not as LiveKit does"},
		{"a redirect", 301, "", [2]string{"Location", "https://other.example/"}, StageHTTP, "https://other.example/"},
		{"a proxy's login", 401, "", [2]string{"WWW-Authenticate", "Basic"}, StageHTTP, "login"},
		{"a proxy without LiveKit", 502, "bad gateway", [2]string{}, StageHTTP, "HTTP 502: bad gateway"},
		{"another server", 404, "404 page not found", [2]string{}, StageHTTP, "no LiveKit server"},
		{"LiveKit without the room", 404, "requested room does not exist", [2]string{}, StageToken, "requested room does not exist"},
		{"LiveKit 1.13.5 with a wrong secret", 401, "invalid token: " + token + ", error: signature is invalid", [2]string{}, StageToken, "(token), error: signature"},
		{"LiveKit without an identity", 400, "identity cannot be empty", [2]string{}, StageToken, "identity cannot be empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Authorization"); r.URL.Path != "/rtc/validate" || got != "Bearer "+token {
					t.Errorf("asked %s with %q", r.URL, got)
				}
				if c.header[0] != "" {
					w.Header().Set(c.header[0], c.header[1])
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer server.Close()
			f := takePreflight(t, strings.Replace(server.URL, "http", "ws", 1), time.Second)
			if c.stage == "" {
				if f != nil {
					t.Error(f)
				}
				return
			}
			if f == nil || f.stage != c.stage || !strings.Contains(f.detail, c.says) {
				t.Fatalf("got %v, want stage %s and %q", f, c.stage, c.says)
			}
			if strings.Contains(f.detail, token) {
				t.Errorf("the token is in %q", f.detail)
			}
		})
	}
}

func TestPreflightStages(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	encrypted := httptest.NewUnstartedServer(http.NotFoundHandler())
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0)
	encrypted.StartTLS()
	defer encrypted.Close()
	listen := func(then func(net.Conn)) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
				then(conn)
			}
		}()
		return listener.Addr().String()
	}
	gone := listen(nil)
	if listener, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		gone = listener.Addr().String()
		_ = listener.Close()
	}
	for _, c := range []struct {
		name, address string
		stage         Stage
		says          string
	}{
		{"no such name", "ws://nowhere..invalid", StageDNS, "nowhere..invalid"}, // asks no resolver
		{"nobody listens", "ws://" + gone, StageTCP, "connection refused by " + gone},
		{"wss to a plain port", "wss://" + plain.Listener.Addr().String(), StageTLS, "ws:// instead"},
		{"unknown authority", "wss://" + encrypted.Listener.Addr().String(), StageTLS, "certificate"},
		{"ws to a TLS port", "ws://" + encrypted.Listener.Addr().String(), StageHTTP, "wss://"},
		{"hangs up", "ws://" + listen(func(c net.Conn) { _ = c.Close() }), StageHTTP, ""},
		{"silent", "ws://" + listen(func(net.Conn) {}), StageHTTP, "no HTTP answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := takePreflight(t, c.address, 300*time.Millisecond)
			if f == nil || f.stage != c.stage || !strings.Contains(f.detail, c.says) {
				t.Errorf("got %v, want stage %s and %q", f, c.stage, c.says)
			}
		})
	}
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"the key is sesame":              "the key is (token)",
		"a\r\n\tb\x00 c":                 "a b c",
		"other " + token + "!":           "other (token)!",
		strings.Repeat("x", maxQuoted+1): strings.Repeat("x", maxQuoted) + "…",
	} {
		if got := redact(text, []string{"sesame"}); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}
