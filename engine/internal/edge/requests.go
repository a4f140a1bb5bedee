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

// Requests is the handler `http.handlers.lkhub_requests`, which limits the cost of one client's requests. If a trusted
// proxy names a client, that is the client. net/http has a deadline for the whole request (ReadTimeout), which also
// ends answers that take longer. The deadline here is for bodies only, so that WebSockets and event streams can go on.
type Requests struct {
	// PerAddress is how many requests of one client may be open at once, including WebSockets.
	PerAddress int `json:"per_address"`
	// Body is how long a body may take to arrive, in addition to a second for each BodyRate bytes.
	Body caddy.Duration `json:"body"`
	// Stall is how long a client may read nothing of an answer that waits to be sent.
	Stall caddy.Duration `json:"stall"`
}

// BodyRate is in bytes a second. Only an intentional delay is slower than a telephone modem.
const BodyRate = 4096

// MaxFields is how many fields the head of a request may have. Browsers send some twenty. A field takes hundreds of
// bytes of memory, here and in the service, for as long as the body does not arrive.
const MaxFields = 100

// CaddyModule tells Caddy the module's name.
func (*Requests) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.lkhub_requests", New: func() caddy.Module { return new(Requests) }}
}

// Validate refuses limits that would let no client in.
func (r *Requests) Validate() error {
	if r.PerAddress < 1 || r.Body <= 0 || r.Stall <= 0 {
		return errors.New("lkhub_requests: per_address, body and stall must be above 0")
	}
	return nil
}

// asking is not a field of Requests, because WebSockets may outlive the configuration under which they came.
var asking = sync.OnceValue(func() *connlimit.Counter { return connlimit.New(maxPlaces()) })

// ServeHTTP counts the request until it has been answered.
func (r *Requests) ServeHTTP(w http.ResponseWriter, request *http.Request, next caddyhttp.Handler) error {
	if countFields(request) > MaxFields {
		w.Header().Set("Connection", "close")
		// net/http would wait for the body, and keep the head meanwhile.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now())
		return caddyhttp.Error(http.StatusRequestHeaderFieldsTooLarge, errors.New("too many fields in the head"))
	}
	said, _ := caddyhttp.GetVar(request.Context(), caddyhttp.ClientIPVarKey).(string)
	ip, _ := netip.ParseAddr(said) // all that is not an address counts as one client
	client := connlimit.ClientOfIP(ip)
	connection := http.NewResponseController(w)
	body := &timedBody{ReadCloser: request.Body, connection: connection, began: time.Now(), grace: time.Duration(r.Body)}
	if request.ContentLength != 0 { // -1: chunked. Body can't tell, since Caddy has wrapped it.
		// A body that no handler reads needs it too: net/http reads the rest of it before the next request.
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
	defer steady.extend() // for what net/http still buffers
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

// countFields counts fields that come after the body too. net/http keeps a place for each that a head names in a single
// field `Trailer`.
func countFields(request *http.Request) int {
	count := len(request.Trailer)
	for _, values := range request.Header {
		count += len(values)
	}
	return count
}

// timedBody is a body that must arrive at a minimum rate.
type timedBody struct {
	io.ReadCloser
	connection *http.ResponseController
	began      time.Time
	grace      time.Duration
	got        int
	late       atomic.Bool // set by the goroutine that forwards the body
}

func (b *timedBody) extend() error {
	return b.connection.SetReadDeadline(b.began.Add(b.grace + time.Duration(b.got)*time.Second/BodyRate))
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.got += n
	switch {
	case errors.Is(err, io.EOF):
		// From here on net/http reads in order to notice that the client leaves, for as long as the answer takes.
		_ = b.connection.SetReadDeadline(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.late.Store(true)
	case n > 0:
		_ = b.extend()
	}
	return n, err
}

// steadyWriter is an answer that the client must read from now and then.
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

// Hijack lifts all deadlines: the two ends of a WebSocket set their own.
func (w *steadyWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.hijacked = true
	return w.connection.Hijack()
}

func (w *steadyWriter) Write(p []byte) (int, error) {
	w.extend()
	return w.ResponseWriterWrapper.Write(p)
}

// ReadFrom uses Write: a copy by itself would have a single deadline for everything.
func (w *steadyWriter) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

// FlushError is called by http.ResponseController.
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
