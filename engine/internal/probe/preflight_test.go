package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// token is signed by APIabc, for a.
const token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJBUElhYmMiLCJzdWIiOiJhIn0.c2lnbmF0dXJl"

// takePreflight goes through the stages before the join, against an address.
func takePreflight(t *testing.T, address string, timeout time.Duration) *fault {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	_, f := preflight(ctx, target, access{}, []string{token})
	return f
}

func TestPreflightTellsWhatAnswers(t *testing.T) {
	own := func(code string) string { return `{"error": {"code": "` + code + `", "message": "no"}}` }
	invalid := func(why string) string { return "invalid token: " + token + ", error: " + why }
	none := [2]string{}
	for _, c := range []struct {
		name   string
		status int
		body   string
		header [2]string
		stage  Stage // "" is success
		reason Reason
		says   string
	}{
		{"LiveKit", 200, "success", none, "", "", ""},
		{"a web site", 200, "<html>hello</html>", none, StageHTTP, NotLiveKit, "not as LiveKit does: hello"},
		{"a redirect", 301, "", [2]string{"Location", "https://other.example/?rd=" + token}, StageHTTP, Redirect, "https://other.example/"},
		{"a redirect to nowhere", 301, "", none, StageHTTP, Redirect, "redirects"},
		{"the redirect to HTTPS", 308, "", [2]string{"Location", "https://127.0.0.1/rtc"}, StageHTTP, ToTLS, "https://127.0.0.1/rtc"},
		{"a proxy's login", 401, "", [2]string{"WWW-Authenticate", "Basic"}, StageHTTP, Login, "login"},
		{"an access gateway's page", 401, "<html><h1>Sign in</h1></html>", none, StageHTTP, Login, "Sign in"},
		{"a filter", 403, "<html>blocked</html>", none, StageHTTP, Forbidden, "blocked"},
		{"a proxy without LiveKit", 502, "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx/1.22.1</center></body></html>", none, StageHTTP, Gateway,
			"(HTTP 502): 502 Bad Gateway 502 Bad Gateway nginx/1.22.1"},
		{"a proxy that waits", 504, "", none, StageHTTP, Gateway, "HTTP 504"},
		{"another server", 404, "404 page not found", none, StageHTTP, NotFound, "HTTP 404"},
		{"a broken one", 500, "oops", none, StageHTTP, HTTPFailed, "HTTP 500: oops"},
		{"a hub by another name", 421, own("wrong-host"), none, StageHTTP, HubWrongHost, "a hub answers"},
		{"a hub from elsewhere", 403, own("not-from-proxy"), none, StageHTTP, HubNotTrusted, "a hub answers"},
		{"a hub's pages", 404, own("not-found"), none, StageHTTP, HubWithoutMedia, "web application"},
		{"a hub without media", 502, own("no-answer"), none, StageHTTP, HubMediaDown, "a hub answers"},
		{"LiveKit without the room", 404, "requested room does not exist", none, StageToken, NoRoom, "requested room does not exist"},
		{"an unknown key", 401, "invalid API key: APIabc", none, StageToken, UnknownKey, "APIabc"},
		{"an unknown key, since 1.13.6", 401, "invalid API key", none, StageToken, UnknownKey, "APIabc"},
		{"a wrong secret, since 1.13.6", 401, "invalid authorization token: token signature is invalid: signature is invalid", none, StageToken, BadSignature, "signature"},
		{"an old token, since 1.13.6", 401, "invalid authorization token: token has invalid claims: token is expired", none, StageToken, TokenExpired, "expired"},
		{"a token of tomorrow, since 1.13.6", 401, "invalid authorization token: token has invalid claims: token is not valid yet", none, StageToken, TokenTooEarly, "yet"},
		{"another refusal, since 1.13.6", 401, "invalid authorization token: token is missing required claim: exp claim is required", none, StageToken, TokenRefused, "required"},
		{"a wrong secret", 401, invalid("token signature is invalid: signature is invalid"), none, StageToken, BadSignature, "(token), error: token signature"},
		{"a wrong secret, before 1.9", 401, invalid("go-jose/go-jose: error in cryptographic primitive"), none, StageToken, BadSignature, "primitive"},
		{"an old token", 401, invalid("token has invalid claims: token is expired"), none, StageToken, TokenExpired, "expired"},
		{"an old token, before 1.9", 401, invalid("go-jose/go-jose/jwt: validation failed, token is expired (exp)"), none, StageToken, TokenExpired, "(exp)"},
		{"a token of tomorrow", 401, invalid("token has invalid claims: token is not valid yet"), none, StageToken, TokenTooEarly, "yet"},
		{"a broken token", 401, "invalid authorization token", none, StageToken, TokenMalformed, ""},
		{"no grant", 401, "no permissions to access the room", none, StageToken, NoGrant, ""},
		{"another refusal", 401, invalid("token has invalid issuer"), none, StageToken, TokenRefused, ""},
		{"LiveKit without an identity", 400, "identity cannot be empty", none, StageToken, NoIdentity, "identity cannot be empty"},
		{"a full room", 429, "room has exceeded its max participants", none, StageToken, RoomFull, ""},
		{"a page that quotes LiveKit", 404, "<html>requested room does not exist</html>", none, StageHTTP, NotFound, ""},
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
			f := takePreflight(t, strings.Replace(server.URL, "http", "ws", 1), 10*time.Second)
			if c.stage == "" {
				if f != nil {
					t.Error(f)
				}
				return
			}
			if f == nil || f.stage != c.stage || f.reason != c.reason || !strings.Contains(fmt.Sprint(f.detail, f.evidence), c.says) {
				t.Fatalf("got %v, want stage %s, %s and %q", f, c.stage, c.reason, c.says)
			}
			if said := fmt.Sprint(f.detail, f.evidence); strings.Contains(said, token) || strings.Contains(said, "<") {
				t.Errorf("the token or markup is in %q", said)
			}
		})
	}
}

// A server may hang up while the request is made, while it is sent, or while the answer is waited for.
func TestAServerThatHangsUpIsKnownAtEveryMoment(t *testing.T) {
	for _, err := range []error{
		io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, errors.New("http: server closed idle connection"),
	} {
		if f := new(server).explainHTTP(&url.Error{Op: "Get", URL: "http://hub.test", Err: err}); f.reason != HTTPClosed {
			t.Errorf("%v: %s", err, f.reason)
		}
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
	// No other process gets a client's port while it is connected, and nothing listens there.
	client, err := net.Dial("tcp", plain.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	gone := client.LocalAddr().String()
	for _, c := range []struct {
		name, address string
		stage         Stage
		reason        Reason
		says          string
	}{
		{"no such name", "ws://nowhere..invalid", StageDNS, NameUnknown, "nowhere..invalid"}, // asks no resolver
		{"nothing listens", "ws://" + gone, StageTCP, Refused, "connection refused by " + gone},
		{"wss to a plain port", "wss://" + plain.Listener.Addr().String(), StageTLS, NotTLS, "ws:// instead"},
		{"unknown authority", "wss://" + encrypted.Listener.Addr().String(), StageTLS, SelfSigned, "certificate"},
		{"ws to a TLS port", "ws://" + encrypted.Listener.Addr().String(), StageHTTP, WantsTLS, "wss://"},
		{"hangs up", "ws://" + listen(func(c net.Conn) { _ = c.Close() }), StageHTTP, HTTPClosed, ""},
		{"silent", "ws://" + listen(func(net.Conn) {}), StageHTTP, HTTPSilent, "no HTTP answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			patience := 10 * time.Second
			if c.reason == HTTPSilent {
				patience = time.Second // it is over in any case; dialing needs some of it on a slow machine
			}
			f := takePreflight(t, c.address, patience)
			if f == nil || f.stage != c.stage || f.reason != c.reason || !strings.Contains(fmt.Sprint(f.detail, f.evidence), c.says) {
				t.Errorf("got %v because of %s, want stage %s, %s and %q", f, f.reason, c.stage, c.reason, c.says)
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
