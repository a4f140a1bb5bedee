package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/process"
)

// tailscaled stands for the daemon: it has the part of its local API that certificates need, and no network. Its texts
// are those of tailscaled 1.83, as seen.
type tailscaled struct {
	pair []byte // key and chain, as ?type=pair gives them

	mu       sync.Mutex
	state    string
	domains  []string
	code     int           // of certificates; 0: it gives them
	words    string        // in place of a certificate
	issue    chan struct{} // closed when it is issued
	finished bool          // it has been issued, which ends with the request
	asked    int
	brokeOff int // requests that ended while it was being issued
}

const tailnetName = "hub.tail1234.ts.net"

func newTailscaled(t *testing.T, e *edgeTest) *tailscaled {
	t.Helper()
	e.ca.IssueFiles(t, e.path("ts.crt"), e.path("ts.key"), tailnetName)
	key, _ := os.ReadFile(e.path("ts.key"))
	certificate, _ := os.ReadFile(e.path("ts.crt"))
	d := &tailscaled{pair: append(key, certificate...), state: "Running", domains: []string{tailnetName}, issue: make(chan struct{})}
	close(d.issue)
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
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case r.Host != "local-tailscaled.sock":
		http.Error(w, "invalid localapi request", http.StatusForbidden)
	case r.URL.Path == "/localapi/v0/status":
		_ = json.NewEncoder(w).Encode(map[string]any{"BackendState": d.state, "CertDomains": d.domains})
	case !strings.HasPrefix(r.URL.Path, "/localapi/v0/cert/"):
		http.NotFound(w, r)
	case d.code != 0:
		http.Error(w, d.words, d.code)
	case r.URL.Path != "/localapi/v0/cert/"+tailnetName:
		http.Error(w, fmt.Sprintf("invalid domain %q; must be one of %q", path.Base(r.URL.Path), d.domains), http.StatusInternalServerError)
	default:
		d.asked++
		if !d.finished {
			d.mu.Unlock()
			select {
			case <-d.issue:
			case <-r.Context().Done():
			}
			d.mu.Lock()
			if r.Context().Err() != nil {
				d.brokeOff++
				return
			}
			d.finished = true
		}
		_, _ = w.Write(d.pair)
	}
}

// set changes what it says from now on.
func (d *tailscaled) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func TestCertificateFromTailscaled(t *testing.T) {
	e := newEdge(t, nil)
	newTailscaled(t, e)
	e.configure(e.useTLS("tls-tailscale.json"))
	e.start()
	status := e.settled()
	if certificates, failures := status["certificates"].([]any), status["failures"].([]any); len(certificates) != 1 || len(failures) != 0 {
		t.Errorf("status: %v", status)
	}
	e.mustDial(tailnetName).Close()
	if by, err := e.dialTLS("127.0.0.1"); err == nil {
		by.Close()
		t.Error("a client by address was served")
	}
}

// The daemon's texts. For each of them tscert says "unexpected output: no delimiter".
func TestEveryFailureOfTailscaledIsToldForWhatItIs(t *testing.T) {
	for kind, c := range map[string]struct {
		change func(d *tailscaled)
		words  string
	}{
		// No other issuer may be asked then: it would learn the tailnet's name.
		"tailscale-https-off": {func(d *tailscaled) { d.domains = nil }, "gives out no certificates"},
		"tailscale-not-connected": {func(d *tailscaled) {
			d.state, d.code, d.words = "Stopped", http.StatusInternalServerError, "acme.GetReg: context deadline exceeded"
		}, "Stopped"},
		"tailscale-renamed":       {func(d *tailscaled) { d.domains = []string{"hub-1.tail1234.ts.net"} }, "hub-1.tail1234.ts.net"},
		"tailscale-no-permission": {func(d *tailscaled) { d.code, d.words = http.StatusForbidden, "cert access denied" }, "cert access denied"},
		"tailscale-rate-limited":  {func(d *tailscaled) { d.code, d.words = http.StatusTooManyRequests, "too many certificates" }, "too many certificates"},
		// Versions up to 1.83 have one code for every error.
		"tailscale-rate-limited in words": {func(d *tailscaled) {
			d.code, d.words = http.StatusInternalServerError, "429 urn:ietf:params:acme:error:rateLimited: too many certificates"
		}, "too many certificates"},
		"tailscale": {func(d *tailscaled) {
			d.code, d.words = http.StatusInternalServerError, "acme.GetReg: Get \"https://acme.test/dir\": dial tcp: connection refused"
		}, "acme.GetReg"},
	} {
		t.Run(kind, func(t *testing.T) {
			kind, _, _ := strings.Cut(kind, " ")
			e := newEdge(t, nil)
			d := newTailscaled(t, e)
			d.set(func() { c.change(d) })
			e.configure(e.useTLS("tls-tailscale.json"))
			e.start()
			status := e.settled()
			failures := status["failures"].([]any)
			if len(status["certificates"].([]any)) != 0 || len(failures) != 1 {
				t.Fatalf("status: %v", status)
			}
			failure := failures[0].(map[string]any)
			if failure["kind"] != kind || !strings.Contains(failure["error"].(string), c.words) || failure["name"] != tailnetName {
				t.Errorf("failure: %v", failure)
			}
			if conn, err := e.dialTLS(tailnetName); err == nil {
				conn.Close()
				t.Error("served")
			}
			if log := e.log.String(); strings.Contains(log, "obtaining") || strings.Contains(log, "lets-encrypt") {
				t.Errorf("an issuer was asked: %s", log)
			}
		})
	}
}

func TestTailscaledThatIsNotThereIsSaidAndAskedAgain(t *testing.T) {
	e := newEdge(t, nil)
	t.Setenv("TS_SOCKET", e.path("ts.sock"))
	e.configure(e.useTLS("tls-tailscale.json"))
	e.start()
	failures := e.settled()["failures"].([]any)
	if len(failures) != 1 || failures[0].(map[string]any)["kind"] != "tailscale-no-daemon" {
		t.Fatalf("failures: %v", failures)
	}
	newTailscaled(t, e)
	enginetest.Eventually(t, "the certificate is there", func() bool {
		status := enginetest.AskControl(t, e.path("c"), "/status")
		return len(status["certificates"].([]any)) == 1 && len(status["failures"].([]any)) == 0
	})
}

func TestTailscaledThatIsStoppedStillGivesWhatItHas(t *testing.T) {
	e := newEdge(t, nil)
	newTailscaled(t, e).state = "Stopped"
	e.configure(e.useTLS("tls-tailscale.json"))
	e.start()
	if status := e.settled(); len(status["certificates"].([]any)) != 1 || len(status["failures"].([]any)) != 0 {
		t.Errorf("status: %v", status)
	}
	e.mustDial(tailnetName).Close()
}

// takeTime makes the daemon issue nothing until the channel is closed.
func (d *tailscaled) takeTime() (issue chan struct{}) {
	d.issue = make(chan struct{})
	return d.issue
}

// counts are how often the daemon was asked for a certificate, and how many of these requests were broken off.
func (d *tailscaled) counts() (asked, brokeOff int) {
	d.set(func() { asked, brokeOff = d.asked, d.brokeOff })
	return asked, brokeOff
}

// expectPending expects a status that comes at once, says that the certificate is pending, and has no failure.
func (e *edgeTest) expectPending() {
	e.Helper()
	status := enginetest.AskControl(e.T, e.path("c"), "/status")
	if len(status["pending"].([]any)) != 1 || len(status["failures"].([]any)) != 0 || len(status["certificates"].([]any)) != 0 {
		e.Errorf("status: %v", status)
	}
}

// settled is the status once nothing is pending: a start does not always wait that long.
func (e *edgeTest) settled() (status map[string]any) {
	e.Helper()
	enginetest.Eventually(e.T, "nothing is pending", func() bool {
		status = enginetest.AskControl(e.T, e.path("c"), "/status")
		return len(status["pending"].([]any)) == 0
	})
	return status
}

func (e *edgeTest) awaitCertificate() {
	e.Helper()
	enginetest.Eventually(e.T, "the certificate is there", func() bool {
		status := enginetest.AskControl(e.T, e.path("c"), "/status")
		return len(status["certificates"].([]any)) == 1 && len(status["failures"].([]any)) == 0 && len(status["pending"].([]any)) == 0
	})
}

// A first certificate takes an ACME order. The order is not broken off, is no failure meanwhile, and nothing waits for
// it.
func TestFirstCertificateOfTailscaledTakesItsTime(t *testing.T) {
	e := newEdge(t, nil)
	d := newTailscaled(t, e)
	issue := d.takeTime()
	e.configure(e.useTLS("tls-tailscale.json"))
	e.start()
	e.expectPending()
	close(issue)
	e.awaitCertificate()
	if asked, _ := d.counts(); asked != 1 {
		t.Errorf("it was asked for %d times", asked)
	}
}

// A changed configuration does not start the order again.
func TestAReloadLeavesTailscalesOrderAlone(t *testing.T) {
	e := newEdge(t, nil)
	d := newTailscaled(t, e)
	issue := d.takeTime()
	change := e.useTLS("tls-tailscale.json")
	e.configure(change)
	e.start()
	for range 2 {
		e.mustReload(change)
		e.expectPending()
	}
	e.configure(func(config map[string]any) { config["apps"] = "nonsense" })
	if code, _ := e.reload(); code == http.StatusOK {
		t.Error("nonsense was taken")
	}
	close(issue)
	e.awaitCertificate()
	if asked, brokeOff := d.counts(); asked != 1 || brokeOff != 0 {
		t.Errorf("it was asked for %d times, %d were broken off", asked, brokeOff)
	}
}

func TestWhatIsConfiguredNoMoreIsNotAskedFor(t *testing.T) {
	e := newEdge(t, nil)
	d := newTailscaled(t, e)
	d.takeTime()
	e.configure(e.useTLS("tls-tailscale.json"))
	e.start()
	e.mustReload(nil)
	enginetest.Eventually(t, "the order is broken off", func() bool { _, brokeOff := d.counts(); return brokeOff == 1 })
	if pending := enginetest.AskControl(t, e.path("c"), "/status")["pending"].([]any); len(pending) != 0 {
		t.Errorf("pending: %v", pending)
	}
}

// The fault may have been repaired: a reload waits for a new answer, and not until the next request.
func TestAReloadAsksTailscaledAnew(t *testing.T) {
	e := newEdge(t, nil)
	d := newTailscaled(t, e)
	d.set(func() { d.code, d.words = http.StatusInternalServerError, "no" })
	change := e.useTLS("tls-tailscale.json")
	e.configure(change)
	e.start()
	if failures := e.settled()["failures"].([]any); len(failures) != 1 {
		t.Fatalf("failures: %v", failures)
	}
	d.set(func() { d.code = 0 })
	e.mustReload(change)
	e.awaitCertificate()
	asked, _ := d.counts()
	e.mustReload(change)
	e.awaitCertificate()
	if again, _ := d.counts(); again <= asked {
		t.Error("what is there was not asked for anew")
	}
}

// A proxy before the hub says which client it is; LiveKit takes all of X-Forwarded-For for one address (utils.go).
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
		request.Header.Set("X-Forwarded-For", "203.0.113.66, 198.51.100.7") // the first address is what the client claimed
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
	if status["state"] != string(process.Running) || len(status["certificates"].([]any))+len(status["failures"].([]any)) > 0 {
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
