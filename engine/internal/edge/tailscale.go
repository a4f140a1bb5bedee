package edge

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"

	"github.com/tailscale/tscert"
)

// The reasons for which tailscaled gives no certificate. For kindTailscale the text of its answer has the reason.
const (
	kindTailscaleDaemon  = "tailscale-no-daemon"     // tailscaled does not answer
	kindTailscaleDenied  = "tailscale-no-permission" // this user may not ask
	kindTailscaleOff     = "tailscale-not-connected" // stopped, logged out, waiting for an admin
	kindTailscaleHTTPS   = "tailscale-https-off"     // certificates are not enabled in the tailnet
	kindTailscaleRenamed = "tailscale-renamed"       // the node has another name
	kindTailscaleLimited = "tailscale-rate-limited"  // Let's Encrypt refuses more certificates
	kindTailscaleSlow    = "tailscale-slow"          // no answer in time
)

// maxAnswer is far more than a certificate chain takes.
const maxAnswer = 1 << 20

// tailscaleError is an error that tailscaled answered, or a missing answer.
type tailscaleError struct{ kind, text string }

func (e *tailscaleError) Error() string { return e.text }

func kindOfTailscale(err error) string {
	var known *tailscaleError
	if errors.As(err, &known) {
		return known.kind
	}
	return kindTailscale
}

// askTailscaled gets a certificate from this machine's daemon, as Caddy does at a handshake. It keeps the text of an
// error: tscert v0.0.0-20251216020129 reads an error's text as a certificate (send, bestError).
func askTailscaled(ctx context.Context, name string) (*tls.Certificate, error) {
	status, err := readNode(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(status.CertDomains) == 0:
		if status.BackendState != "Running" {
			return nil, notConnected(status)
		}
		return nil, &tailscaleError{kindTailscaleHTTPS, "this tailnet gives out no certificates"}
	case !slices.Contains(status.CertDomains, name):
		return nil, &tailscaleError{kindTailscaleRenamed, "this node's name is " + strings.Join(status.CertDomains, ", ") + " now"}
	}
	code, body, err := getLocal(ctx, "/localapi/v0/cert/"+name+"?type=pair")
	if err != nil {
		return nil, err
	}
	words := strings.TrimSpace(string(body))
	switch {
	case code == http.StatusOK: // also while not connected, tailscaled gives the certificate that it has
		return readPair(body)
	case code == http.StatusForbidden:
		return nil, &tailscaleError{kindTailscaleDenied, words}
	case status.BackendState != "Running":
		return nil, notConnected(status)
	case code == http.StatusTooManyRequests, strings.Contains(words, "urn:ietf:params:acme:error:rateLimited"):
		return nil, &tailscaleError{kindTailscaleLimited, words}
	default:
		return nil, &tailscaleError{kindTailscale, fmt.Sprintf("%s (HTTP %d)", words, code)}
	}
}

func notConnected(status tscert.Status) error {
	return &tailscaleError{kindTailscaleOff, "Tailscale's state on this machine is " + status.BackendState}
}

func readNode(ctx context.Context) (status tscert.Status, err error) {
	code, body, err := getLocal(ctx, "/localapi/v0/status?peers=false")
	switch {
	case err != nil:
		return status, err
	case code == http.StatusForbidden:
		return status, &tailscaleError{kindTailscaleDenied, strings.TrimSpace(string(body))}
	case json.Unmarshal(body, &status) != nil || code != http.StatusOK:
		return status, &tailscaleError{kindTailscale, fmt.Sprintf("tailscaled's status makes no sense (HTTP %d)", code)}
	}
	return status, nil
}

// knock returns at once if there is no daemon; tscert goes on trying in case the daemon is starting.
func knock(ctx context.Context) error {
	if runtime.GOOS == "darwin" { // the daemon may listen on a port of loopback
		return nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", tscert.TailscaledSocket)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &tailscaleError{kindTailscaleDenied, err.Error()}
	case err != nil:
		return &tailscaleError{kindTailscaleDaemon, err.Error()}
	}
	return conn.Close()
}

func getLocal(ctx context.Context, path string) (int, []byte, error) {
	if err := knock(ctx); err != nil {
		return 0, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://local-tailscaled.sock"+path, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := tscert.DoLocalRequest(request)
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil, ctx.Err()
		}
		return 0, nil, &tailscaleError{kindTailscaleDaemon, err.Error()}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return response.StatusCode, body, err
}

// readPair takes the answer to ?type=pair apart: a key, then the chain.
func readPair(body []byte) (*tls.Certificate, error) {
	block, _ := pem.Decode(body)
	if block == nil || !strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return nil, &tailscaleError{kindTailscale, "what tailscaled gave is no key and certificate"}
	}
	certificate, err := tls.X509KeyPair(body, body)
	if err != nil {
		return nil, &tailscaleError{kindTailscale, "what tailscaled gave is no key and certificate: " + err.Error()}
	}
	return &certificate, nil
}
