package edge

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"lkhub/engine/internal/connlimit"
)

func init() { caddy.RegisterModule(new(Requests)) }

// Requests is the handler `http.handlers.lkhub_requests`: what the requests of one client may cost. A client is what a
// trusted proxy names, where there is one. Net/http has a deadline for all of a request (ReadTimeout), which also ends
// answers that take longer than that; this one is for bodies alone, and WebSockets and streams of events outlive it.
type Requests struct {
	// PerAddress is how many requests of one client may be open at once, WebSockets among them.
	PerAddress int `json:"per_address"`
	// Body is what a body may take to come, besides a second for each BodyRate bytes of it.
	Body caddy.Duration `json:"body"`
	// Stall is for how long a client may take nothing of an answer that waits for it.
	Stall caddy.Duration `json:"stall"`
}

// BodyRate is in bytes a second. Slower than a telephone's modem is on purpose.
const BodyRate = 4096

// CaddyModule tells Caddy the module's name.
func (*Requests) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.lkhub_requests", New: func() caddy.Module { return new(Requests) }}
}

// Validate refuses bounds that would let nobody in.
func (r *Requests) Validate() error {
	if r.PerAddress < 1 || r.Body <= 0 || r.Stall <= 0 {
		return errors.New("lkhub_requests: per_address, body and stall must be above 0")
	}
	return nil
}

// asking is not a field of Requests: WebSockets outlive the configuration that they came in under.
var asking = sync.OnceValue(func() *connlimit.Counter { return connlimit.New(maxPlaces()) })

// ServeHTTP counts the request for as long as it is answered.
func (r *Requests) ServeHTTP(w http.ResponseWriter, request *http.Request, next caddyhttp.Handler) error {
	said, _ := caddyhttp.GetVar(request.Context(), caddyhttp.ClientIPVarKey).(string)
	ip, _ := netip.ParseAddr(said) // what is no address counts as one client
	client := connlimit.ClientOfIP(ip)
	connection := http.NewResponseController(w)
	body := &timedBody{ReadCloser: request.Body, connection: connection, began: time.Now(), grace: time.Duration(r.Body)}
	if request.ContentLength != 0 { // -1: chunked. Body says nothing, which Caddy has wrapped.
		// Also for a body that no handler reads: net/http reads the rest of it before the next request.
		if err := body.extend(); err != nil {
			return err
		}
		request.Body = body
	}
	steady := &steadyWriter{
		ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w},
		connection:            connection, stall: time.Duration(r.Stall),
	}
	steady.extend()
	defer steady.extend() // for what net/http still holds back
	if !asking().Enter(client, r.PerAddress) {
		w.Header().Set("Retry-After", "5")
		w.Header().Set("Connection", "close")
		return caddyhttp.Error(http.StatusTooManyRequests, errors.New("too many open requests of one address"))
	}
	defer asking().Leave(client)
	err := next.ServeHTTP(steady, request)
	if err != nil && body.late.Load() {
		w.Header().Set("Connection", "close")
		return caddyhttp.Error(http.StatusRequestTimeout, err)
	}
	return err
}

// timedBody has to come at some speed.
type timedBody struct {
	io.ReadCloser
	connection *http.ResponseController
	began      time.Time
	grace      time.Duration
	got        int
	late       atomic.Bool // said by the goroutine that sends the body on
}

func (b *timedBody) extend() error {
	return b.connection.SetReadDeadline(b.began.Add(b.grace + time.Duration(b.got)*time.Second/BodyRate))
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.got += n
	switch {
	case errors.Is(err, io.EOF):
		// From here on net/http reads to hear whether the client goes away, for as long as the answer takes.
		_ = b.connection.SetReadDeadline(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.late.Store(true)
	case n > 0:
		_ = b.extend()
	}
	return n, err
}

// steadyWriter has to be read from, now and then.
type steadyWriter struct {
	*caddyhttp.ResponseWriterWrapper
	connection *http.ResponseController
	stall      time.Duration
	hijacked   bool
}

func (w *steadyWriter) extend() {
	if !w.hijacked {
		_ = w.connection.SetWriteDeadline(time.Now().Add(w.stall))
	}
}

// Hijack lifts all deadlines: a WebSocket's are for its ends to set.
func (w *steadyWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.hijacked = true
	return w.connection.Hijack()
}

func (w *steadyWriter) Write(p []byte) (int, error) {
	w.extend()
	return w.ResponseWriterWrapper.Write(p)
}

// ReadFrom goes by Write: what copies by itself would have one deadline for all.
func (w *steadyWriter) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

// FlushError is what a http.ResponseController calls.
func (w *steadyWriter) FlushError() error {
	w.extend()
	return w.connection.Flush()
}

var (
	_ caddy.Validator             = (*Requests)(nil)
	_ caddyhttp.MiddlewareHandler = (*Requests)(nil)
	_ http.Hijacker               = (*steadyWriter)(nil)
	_ io.ReaderFrom               = (*steadyWriter)(nil)
)
