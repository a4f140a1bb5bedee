package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/logger"
	"github.com/livekit/server-sdk-go/v2/signalling"

	"lkhub/engine/internal/participant"
)

// maxAnswer is how much is read of an HTTP answer; LiveKit's answers are one short line.
const maxAnswer = 4 << 10

// server is a signalling server that has been reached.
type server struct {
	target  *url.URL
	access  access
	address netip.AddrPort // the address that answered; everything goes there
}

// reach goes through the stages dns and tcp. The connection is for the next stage.
func reach(ctx context.Context, target *url.URL, w access) (*server, net.Conn, *fault) {
	conn, f := w.hosts.dial(ctx, target.Hostname(), portOf(target))
	if f != nil {
		f.untried = false
		return nil, nil, f
	}
	answered := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	return &server{target, w, netip.AddrPortFrom(answered.Addr().Unmap(), answered.Port())}, conn, nil
}

func portOf(target *url.URL) string {
	switch {
	case target.Port() != "":
		return target.Port()
	case secure(target):
		return "443"
	default:
		return "80"
	}
}

func secure(target *url.URL) bool { return target.Scheme == "wss" || target.Scheme == "https" }

// secureConn goes through the stage tls if the URL asks for TLS.
func (s *server) secureConn(ctx context.Context, conn net.Conn) (net.Conn, *fault) {
	if !secure(s.target) {
		return conn, nil
	}
	host := s.target.Hostname()
	encrypted, err := s.access.handshake(ctx, conn, host, "http/1.1")
	if err == nil {
		return encrypted, nil
	}
	f := explainTLS(s.address.String(), err, host, time.Now())
	if f.reason == NotTLS {
		f.detail += "; is its address ws:// instead of wss://?"
	}
	return nil, f
}

// dial makes all further connections to the server: to the address that answered, whatever its name resolves to now.
func (s *server) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, s.address.String())
}

// validate goes through the stages http and token over an open connection.
func (s *server) validate(ctx context.Context, conn net.Conn, tokens []string) *fault {
	var used atomic.Bool
	once := func(ctx context.Context, network, address string) (net.Conn, error) {
		if used.CompareAndSwap(false, true) {
			return conn, nil
		}
		return s.dial(ctx, network, address) // the server closes after an answer
	}
	transport := &http.Transport{DialContext: once}
	if secure(s.target) {
		transport.DialContext = nil
		transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := once(ctx, network, address)
			if _, encrypted := conn.(*tls.Conn); err != nil || encrypted {
				return conn, err
			}
			secured, f := s.secureConn(ctx, conn)
			if f != nil {
				return nil, f
			}
			return secured, nil
		}
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // a redirect may lead to a host that was not to be tested
	}}
	protocol := signalling.NewSignalling(signalling.SignallingParams{Logger: logger.GetDiscardLogger()})
	for _, token := range tokens {
		request, err := protocol.HTTPRequestForValidate(ctx, participant.ClientVersion, participant.ProtocolVersion,
			s.target.String(), token, &signalling.ConnectParams{}, "")
		if err != nil {
			return failed(StageHTTP, HTTPFailed, "%v", err)
		}
		response, err := client.Do(request)
		if err != nil {
			return s.explainHTTP(err)
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		_ = response.Body.Close()
		if err != nil {
			return s.explainHTTP(err)
		}
		if f := readAnswer(request.URL, response, body, tokens).judge(StageHTTP); f != nil {
			return nameKey(f, token)
		}
	}
	return nil
}

// nameKey adds the key that signed the token. LiveKit itself names the key only up to 1.13.5.
func nameKey(f *fault, token string) *fault {
	signed, err := auth.ParseAPIToken(token)
	if f.reason != UnknownKey || f.evidence["key"] != "" || err != nil {
		return f
	}
	return f.with("key", redact(signed.APIKey(), nil))
}

func (s *server) explainHTTP(err error) *fault {
	address := s.address.String()
	f := func(reason Reason, text string) *fault {
		return failed(StageHTTP, reason, "%s", text).with("address", address)
	}
	var wrapped *fault
	switch {
	case errors.As(err, &wrapped): // of a second connection's handshake
		return wrapped
	case errors.Is(err, context.DeadlineExceeded):
		return f(HTTPSilent, "no HTTP answer from "+address)
	case strings.Contains(err.Error(), `malformed HTTP response "\x15`): // a TLS alert
		return f(WantsTLS, wantsTLS(address))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), strings.Contains(err.Error(), "server closed idle connection"): // net/http, before it has asked
		return f(HTTPClosed, address+" closed the connection without an answer")
	default:
		var asked *url.Error
		if errors.As(err, &asked) {
			err = asked.Err // without the URL's query, which says nothing
		}
		return f(HTTPFailed, address+": "+err.Error())
	}
}

func wantsTLS(address string) string {
	return address + " speaks TLS; is its address wss:// instead of ws://?"
}
