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
	"time"

	"github.com/livekit/protocol/logger"
	"github.com/livekit/server-sdk-go/v2/signalling"

	"lkhub/engine/internal/participant"
)

// maxAnswer is what is read of an HTTP answer; LiveKit's are one short line.
const maxAnswer = 4 << 10

// server is a signalling server that has been reached.
type server struct {
	target  *url.URL
	way     way
	address netip.AddrPort // the one that answered; everything goes there
}

// reach takes the stages dns and tcp. The connection is for what comes next.
func reach(ctx context.Context, target *url.URL, w way) (*server, net.Conn, *fault) {
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

// secureConn takes the stage tls where the address asks for it.
func (s *server) secureConn(ctx context.Context, conn net.Conn) (net.Conn, *fault) {
	if !secure(s.target) {
		return conn, nil
	}
	host := s.target.Hostname()
	encrypted, err := s.way.handshake(ctx, conn, host, "http/1.1")
	var plain tls.RecordHeaderError
	switch {
	case err == nil:
		return encrypted, nil
	case errors.As(err, &plain):
		return nil, failed(StageTLS, "%s doesn't speak TLS; is its address ws:// instead of wss://?", s.address)
	default:
		return nil, failed(StageTLS, "%s %s", s.address, explainTLS(err, host, time.Now()))
	}
}

// dial is for all further connections to the server: to the address that answered, whatever its name resolves to now.
func (s *server) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, s.address.String())
}

// validate takes the stages http and token over an open connection.
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
		return http.ErrUseLastResponse // another host was not asked about
	}}
	protocol := signalling.NewSignalling(signalling.SignallingParams{Logger: logger.GetDiscardLogger()})
	for _, token := range tokens {
		request, err := protocol.HTTPRequestForValidate(ctx, participant.ClientVersion, participant.ProtocolVersion,
			s.target.String(), token, &signalling.ConnectParams{}, "")
		if err != nil {
			return failed(StageHTTP, "%v", err)
		}
		response, err := client.Do(request)
		if err != nil {
			return failed(StageHTTP, "%s", s.explainHTTP(err))
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		_ = response.Body.Close()
		if err != nil {
			return failed(StageHTTP, "%s", s.explainHTTP(err))
		}
		if f := judge(request.URL, response, redact(string(body), tokens)); f != nil {
			return f
		}
	}
	return nil
}

func (s *server) explainHTTP(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no HTTP answer from " + s.address.String()
	case strings.Contains(err.Error(), `malformed HTTP response "\x15`): // a TLS alert
		return wantsTLS(s.address.String())
	case errors.Is(err, io.EOF):
		return s.address.String() + " closed the connection without an answer"
	default:
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL's query, which says nothing
		}
		return s.address.String() + ": " + err.Error()
	}
}

func wantsTLS(address string) string {
	return address + " speaks TLS; is its address wss:// instead of ws://?"
}

// judge tells a LiveKit server that refuses the token from something that is no LiveKit server.
func judge(asked *url.URL, response *http.Response, body string) *fault {
	where := asked.Scheme + "://" + asked.Host + asked.Path
	status := response.StatusCode
	switch {
	case status == http.StatusOK && body == "success":
		return nil
	case status == http.StatusOK:
		return failed(StageHTTP, "%s answers, but not as LiveKit does: %s", where, body)
	case status >= 300 && status < 400:
		return failed(StageHTTP, "%s redirects to %s; give that address", where, response.Header.Get("Location"))
	case response.Header.Get("WWW-Authenticate") != "":
		return failed(StageHTTP, "%s wants a login of its own (HTTP %d) before LiveKit", where, status)
	case status == http.StatusBadRequest && strings.Contains(body, "HTTPS"): // as Go's and nginx's servers say it
		return failed(StageHTTP, "%s", wantsTLS(asked.Host))
	case status == http.StatusUnauthorized, status == http.StatusBadRequest,
		status == http.StatusNotFound && strings.Contains(body, "room"): // “requested room does not exist”
		return failed(StageToken, "the server refused the token: %s", body)
	case status == http.StatusNotFound:
		return failed(StageHTTP, "%s is not there (HTTP 404); this is no LiveKit server, or its path is missing in the address", where)
	default:
		return failed(StageHTTP, "%s answered HTTP %d: %s", where, status, body)
	}
}
