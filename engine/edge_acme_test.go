package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"

	"lkhub/engine/internal/certtest"
	"lkhub/engine/internal/enginetest"
)

// issuer is a real ACME server, Pebble, with its own DNS, in which the hub's names lead to 127.0.0.1.
type issuer struct {
	dns    *challtestsrv.ChallSrv
	server *httptest.Server
	asked  atomic.Int64 // for the state of a certificate, over OCSP
	change atomic.Pointer[func(path string, response *httptest.ResponseRecorder)]
}

type issuerOptions struct {
	httpPort, tlsPort string            // where it looks for answers to its challenges
	eab               map[string]string // accounts that may register: MAC keys by id; no other account may then
	blocked           string
	validity          time.Duration
}

func newIssuer(t *testing.T, trusted *certtest.Authority, certificate, key string, options issuerOptions) *issuer {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	t.Setenv("PEBBLE_AUTHZREUSE", "0")
	quiet := log.New(io.Discard, "", 0)
	resolver := "127.0.0.1:" + enginetest.FreePort(t)
	names, err := challtestsrv.New(challtestsrv.Config{DNSAddrs: []string{resolver}, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	names.SetDefaultDNSIPv4("")
	names.SetDefaultDNSIPv6("")
	names.AddDNSARecord("hub.test", []string{"127.0.0.1"})
	go names.Run()
	t.Cleanup(names.Shutdown)
	enginetest.Eventually(t, "DNS answers", func() bool {
		conn, err := net.Dial("tcp", resolver)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})

	httpPort, _ := strconv.Atoi(options.httpPort)
	tlsPort, _ := strconv.Atoi(options.tlsPort)
	store := db.NewMemoryStore()
	for id, key := range options.eab {
		if err := store.AddExternalAccountKeyByID(id, key); err != nil {
			t.Fatal(err)
		}
	}
	if options.blocked != "" {
		if err := store.AddBlockedDomain(options.blocked); err != nil {
			t.Fatal(err)
		}
	}
	i := &issuer{dns: names}
	responder := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { i.asked.Add(1) }))
	t.Cleanup(responder.Close)
	profiles := map[string]ca.Profile{"default": {ValidityPeriod: uint64(options.validity.Seconds())}}
	handlers := wfe.New(quiet, store, va.New(quiet, httpPort, tlsPort, false, resolver, store),
		ca.New(quiet, store, responder.URL, "ecdsa", 0, 1, profiles), []string{"pebble.test"}, false, options.eab != nil, 0, 0)
	handler := handlers.Handler()
	i.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := httptest.NewRecorder()
		handler.ServeHTTP(recorded, r)
		if change := i.change.Load(); change != nil {
			(*change)(r.URL.Path, recorded)
		}
		maps.Copy(w.Header(), recorded.Header())
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(recorded.Body.Bytes())
	}))
	trusted.IssueFiles(t, certificate, key, "127.0.0.1")
	i.server.TLS = loadPair(t, certificate, key)
	i.server.StartTLS()
	t.Cleanup(i.server.Close)
	return i
}

// rewrite changes what the issuer answers from now on.
func (i *issuer) rewrite(change func(path string, response *httptest.ResponseRecorder)) {
	i.change.Store(&change)
}

func (i *issuer) directory() string { return i.server.URL + "/dir" }

// newACME is an edge that gets its certificate from its own issuer.
func newACME(t *testing.T, options issuerOptions, change func(e *edgeTest, acme map[string]any)) (*edgeTest, *issuer) {
	t.Helper()
	e := newEdge(t, nil)
	if options.httpPort == "" {
		options.httpPort = e.http
	}
	if options.tlsPort == "" {
		options.tlsPort = e.port
	}
	i := newIssuer(t, e.ca, e.path("issuer.pem"), e.path("issuer.key"), options)
	e.ca.Write(t, e.path("issuer.crt"), e.path("unused.key"))
	e.values["DIRECTORY"] = i.directory()
	e.configureACME(change)
	return e, i
}

func (e *edgeTest) configureACME(change func(e *edgeTest, acme map[string]any)) {
	e.configure(func(config map[string]any) {
		e.useTLS("tls-acme.json")(config)
		app := config["apps"].(map[string]any)["tls"].(map[string]any)
		automation := app["automation"].(map[string]any)
		automation["renew_interval"] = "500ms" // ten minutes otherwise
		policy := automation["policies"].([]any)[0].(map[string]any)
		if change != nil {
			change(e, policy["issuers"].([]any)[0].(map[string]any))
		}
	})
}

func disable(challenge string) func(e *edgeTest, acme map[string]any) {
	return func(_ *edgeTest, acme map[string]any) {
		acme["challenges"].(map[string]any)[challenge] = map[string]any{"disabled": true}
	}
}

func TestACME(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(e *edgeTest, acme map[string]any)
		proof  string
	}{
		// TLS-ALPN-01 uses the one port, through caddy-l4, and port 80 may be closed.
		{"TLS-ALPN-01", disable("http"), `"challenge":"tls-alpn-01"`},
		{"HTTP-01", disable("tls-alpn"), `"challenge":"http-01"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, i := newACME(t, issuerOptions{}, c.change)
			e.start()
			enginetest.Eventually(t, "the certificate is served", func() bool { return e.served() != "" })
			if !strings.Contains(e.log.String(), c.proof) {
				t.Errorf("not in the log: %s", c.proof)
			}
			status := enginetest.AskControl(t, e.path("c"), "/status")
			if list := status["certificates"].([]any); len(list) != 1 || !strings.Contains(list[0].(map[string]any)["issuer"].(string), "Pebble") {
				t.Errorf("certificates: %v", list)
			}
			if list := status["failures"].([]any); len(list) != 0 {
				t.Errorf("failures: %v", list)
			}
			if n := i.asked.Load(); n != 0 {
				t.Errorf("asked over OCSP %d times", n)
			}
		})
	}
}

// Google's issuer asks for an external account, and so does ZeroSSL's if no address is given. The key is read from its
// own file.
func TestExternalAccount(t *testing.T) {
	key := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	e, _ := newACME(t, issuerOptions{eab: map[string]string{"kid-1": key}}, func(e *edgeTest, acme map[string]any) {
		acme["external_account"] = map[string]string{"key_id": "kid-1", "mac_key": "{file." + e.path("eab.key") + "}"}
	})
	enginetest.WritePrivate(t, map[string]string{e.path("eab.key"): key + "\n"})
	e.start()
	enginetest.Eventually(t, "the certificate is served", func() bool { return e.served() != "" })
	if strings.Contains(e.log.String(), key) {
		t.Error("the key is in the log")
	}
}

// served is the serial number of the certificate that clients of hub.test get, or nothing.
func (e *edgeTest) served() string {
	config := e.tlsConfig("hub.test")
	config.InsecureSkipVerify = true // Pebble's root is another one at every start
	conn, err := dialTLSConfig("127.0.0.1:"+e.port, config)
	if err != nil {
		return ""
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestRenewalLeavesConnectionsAlone(t *testing.T) {
	e, _ := newACME(t, issuerOptions{validity: 6 * time.Second}, disable("http"))
	e.media.answer(echoWebSocket)
	e.start()
	enginetest.Eventually(t, "the first certificate is served", func() bool { return e.served() != "" })
	config := e.tlsConfig("hub.test")
	config.InsecureSkipVerify = true
	socket := e.mustDialWebSocketWith(config)
	turn, err := dialTLSConfig("127.0.0.1:"+e.port, config)
	if err != nil {
		t.Fatal(err)
	}
	defer turn.Close()
	refresh := mustRelay(t, turn)
	seen := map[string]bool{}
	enginetest.Eventually(t, "two renewals", func() bool {
		mustEcho(t, socket, "a WebSocket over renewals")
		refresh()
		if serial := e.served(); serial == "" {
			t.Fatal("no certificate is served")
		} else {
			seen[serial] = true
		}
		return len(seen) == 3
	})
}

func TestACMEFailuresHaveKinds(t *testing.T) {
	closed := enginetest.FreePort(t)
	problem := func(code int, kind string) func(*edgeTest, *issuer) {
		return func(_ *edgeTest, i *issuer) {
			i.rewrite(func(path string, response *httptest.ResponseRecorder) {
				if path == "/order-plz" {
					response.Code = code
					response.Header().Set("Content-Type", "application/problem+json")
					response.Body = bytes.NewBufferString(`{"type":"urn:ietf:params:acme:error:` + kind + `","detail":"said by the test","status":` + strconv.Itoa(code) + `}`)
				}
			})
		}
	}
	for _, c := range []struct {
		kind    string
		options issuerOptions
		change  func(e *edgeTest, acme map[string]any)
		prepare func(e *edgeTest, i *issuer)
	}{
		{"rate-limited", issuerOptions{}, nil, problem(http.StatusTooManyRequests, "rateLimited")},
		{"caa", issuerOptions{}, nil, problem(http.StatusForbidden, "caa")},
		{"dns", issuerOptions{}, nil, func(_ *edgeTest, i *issuer) { i.dns.AddDNSServFailRecord("hub.test") }},
		{"connection", issuerOptions{tlsPort: closed, httpPort: closed}, nil, nil},
		{"rejected-identifier", issuerOptions{blocked: "hub.test"}, nil, nil},
		{"external-account-required", issuerOptions{eab: map[string]string{}}, nil, nil},
		{"account", issuerOptions{eab: map[string]string{}}, func(_ *edgeTest, acme map[string]any) {
			acme["external_account"] = map[string]string{"key_id": "another", "mac_key": "a2V5"}
		}, nil},
		// As ZeroSSL: no TLS-ALPN-01, and port 80 is not ours.
		{"no-challenge", issuerOptions{}, disable("http"), func(_ *edgeTest, i *issuer) { i.rewrite(withoutTLSALPN) }},
		{"issuer-unreachable", issuerOptions{}, func(_ *edgeTest, acme map[string]any) {
			acme["ca"] = "https://127.0.0.1:" + closed + "/dir"
		}, nil},
		{"issuer-untrusted", issuerOptions{}, func(_ *edgeTest, acme map[string]any) { delete(acme, "trusted_roots_pem_files") }, nil},
	} {
		t.Run(c.kind, func(t *testing.T) {
			e, i := newACME(t, c.options, c.change)
			if c.prepare != nil {
				c.prepare(e, i)
			}
			e.start() // ready nevertheless
			var failures []any
			enginetest.Eventually(t, "the failure is told", func() bool {
				failures = enginetest.AskControl(t, e.path("c"), "/status")["failures"].([]any)
				return len(failures) == 1
			})
			failure := failures[0].(map[string]any)
			if failure["kind"] != c.kind || failure["name"] != "hub.test" || !strings.HasPrefix(failure["issuer"].(string), "127.0.0.1") {
				t.Errorf("%v", failure)
			}
			if _, err := time.Parse(time.RFC3339, failure["at"].(string)); err != nil {
				t.Error(err)
			}
		})
	}
}

func withoutTLSALPN(path string, response *httptest.ResponseRecorder) {
	var authorization map[string]any
	if !strings.HasPrefix(path, "/authZ/") || json.Unmarshal(response.Body.Bytes(), &authorization) != nil {
		return
	}
	challenges, _ := authorization["challenges"].([]any)
	authorization["challenges"] = slices.DeleteFunc(challenges, func(c any) bool {
		return c.(map[string]any)["type"] == "tls-alpn-01"
	})
	text, _ := json.Marshal(authorization)
	response.Body = bytes.NewBuffer(text)
	response.Header().Del("Content-Length")
}

// A reload tries a failed name again at once, and not after Caddy's wait of a minute or more.
func TestAReloadMendsWhatFailed(t *testing.T) {
	e, i := newACME(t, issuerOptions{}, nil)
	i.dns.AddDNSServFailRecord("hub.test")
	e.start()
	enginetest.Eventually(t, "the failure is told", func() bool {
		return len(enginetest.AskControl(t, e.path("c"), "/status")["failures"].([]any)) == 1
	})
	i.dns.DeleteDNSServFailRecord("hub.test")
	if code, answer := e.reload(); code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, answer)
	}
	enginetest.Eventually(t, "the certificate is served", func() bool { return e.served() != "" })
	if failures := enginetest.AskControl(t, e.path("c"), "/status")["failures"].([]any); len(failures) != 0 {
		t.Errorf("%v", failures)
	}
}
