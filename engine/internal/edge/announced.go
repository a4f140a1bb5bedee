package edge

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/mholt/caddy-l4/layer4"
	"github.com/pires/go-proxyproto"
	"go.uber.org/zap"
)

func init() { caddy.RegisterModule(new(Announced)) }

// Announced is the handler `layer4.handlers.lkhub_announced`, which stands after `proxy_protocol`. If a proxy did not
// say where its client is, Announced records the proxy and ends the connection. Without Announced, caddy-l4 fails at
// the first byte that is read, and the client takes that for a refused TLS handshake.
type Announced struct {
	logger *zap.Logger
}

// CaddyModule tells Caddy the module's name.
func (*Announced) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "layer4.handlers.lkhub_announced", New: func() caddy.Module { return new(Announced) }}
}

// Provision takes Caddy's logger.
func (a *Announced) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger(a)
	return nil
}

// Handle passes on a connection that was announced, or that need not be.
func (a *Announced) Handle(cx *layer4.Connection, next layer4.Handler) error {
	conn, trusted := cx.Conn.(*proxyproto.Conn)
	if !trusted || conn.ProxyHeader() != nil {
		return next.Handle(cx)
	}
	if _, err := conn.Read(nil); errors.Is(err, proxyproto.ErrNoProxyProtocol) {
		if !waits(conn.Raw()) {
			return nil
		}
		host, _, _ := net.SplitHostPort(cx.RemoteAddr().String())
		unannounced.add(host)
		a.logger.Warn("a trusted proxy connects without the PROXY protocol", zap.String("proxy", host))
		return err
	}
	return next.Handle(cx)
}

// waits reports whether the other side has sent something and waits for an answer. A proxy that only checks whether the
// port is open hangs up instead.
func waits(conn net.Conn) bool {
	if conn.SetReadDeadline(time.Now().Add(hangUp)) != nil {
		return false
	}
	_, err := conn.Read(make([]byte, 1))
	return err == nil || errors.Is(err, os.ErrDeadlineExceeded)
}

// hangUp is how long a program that only checks whether a port is open may take to hang up.
const hangUp = 100 * time.Millisecond

// Unannounced is the last connection of a trusted proxy that did not say by the PROXY protocol where its client is.
type Unannounced struct {
	Proxy string    `json:"proxy"` // its address
	At    time.Time `json:"at"`
	Count int64     `json:"count"` // since the start
}

var unannounced noted

type noted struct {
	mu   sync.Mutex
	last Unannounced
}

func (n *noted) add(proxy string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = Unannounced{Proxy: proxy, At: time.Now().UTC(), Count: n.last.Count + 1}
}

// read returns nil if there was no such connection.
func (n *noted) read() *Unannounced {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last.Count == 0 {
		return nil
	}
	last := n.last
	return &last
}

var (
	_ caddy.Provisioner  = (*Announced)(nil)
	_ layer4.NextHandler = (*Announced)(nil)
)
