package edge

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/tailscale/tscert"
)

// tailscaled goes on with an order for as long as the request waits, and ends the order with the request.
func TestTailscaledThatTakesLongIsToldAndStillWaitedFor(t *testing.T) {
	was, place := askSlow, tscert.TailscaledSocket
	t.Cleanup(func() { askSlow, tscert.TailscaledSocket = was, place })
	askSlow, tscert.TailscaledSocket = 10*time.Millisecond, filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", tscert.TailscaledSocket)
	if err != nil {
		t.Fatal(err)
	}
	answer, cancelled := make(chan struct{}), make(chan struct{})
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/localapi/v0/status" {
			fmt.Fprint(w, `{"BackendState": "Running", "CertDomains": ["hub.tail1234.ts.net"]}`)
			return
		}
		select {
		case <-answer:
			http.Error(w, "403 urn:ietf:params:acme:error:caa: not this authority", http.StatusInternalServerError)
		case <-r.Context().Done():
			close(cancelled)
		}
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	m := takeOver(nil, []string{"hub.tail1234.ts.net"})
	t.Cleanup(func() { m.stopAllBut(takeOver(nil, nil)) })
	await := func(kind string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			var status Status
			m.report(&status)
			if len(status.Failures) == 1 && status.Failures[0].Kind == kind {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("status: %+v", status)
			}
		}
	}
	await(kindTailscaleSlow)
	select {
	case <-cancelled:
		t.Fatal("the order was cancelled")
	default:
	}
	close(answer)
	await(kindTailscale)
}
