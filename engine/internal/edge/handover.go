package edge

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/mholt/caddy-l4/layer4"
)

// handoverNetwork is what a server listens on to get connections from Handover: `"listen": ["handover/NAME"]`.
const handoverNetwork = "handover"

var handovers = newBoard(handoverNetwork)

func init() {
	caddy.RegisterModule(new(Handover))
	caddy.RegisterNetwork(handoverNetwork, func(ctx context.Context, _, host, _ string, _ uint, _ net.ListenConfig) (any, error) {
		return handovers.listen(ctx, host, func() {}), nil
	})
}

// Handover is the handler `layer4.handlers.lkhub_handover`. It gives a connection to the server in this process that
// listens on `handover/TO`, for HTTP or for the relay. TLS has ended by then, and the first bytes were read. A proxy to
// a socket of that server would cost two more copies of every byte, two more descriptors and 64 KiB of buffers for each
// connection, and a PROXY header for the address. caddy-l4's listener wrapper can't be used: it puts a buffer back into
// its pool while the HTTP server still reads the request from it (layer4/listener.go, handle: seen in 0.1.2).
type Handover struct {
	To string `json:"to"`
}

// listenHanded listens for connections that are handed over to a name, as a server with `"listen": ["handover/NAME"]`
// does.
func listenHanded(name string) net.Listener {
	return handovers.listen(context.Background(), name, func() {})
}

// CaddyModule tells Caddy the module's name.
func (*Handover) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "layer4.handlers.lkhub_handover", New: func() caddy.Module { return new(Handover) }}
}

// Validate refuses a name under which no server can listen.
func (h *Handover) Validate() error {
	if h.To == "" {
		return errors.New("lkhub_handover: to is missing")
	}
	return nil
}

// Handle returns when the connection is closed. Then caddy-l4 closes it and reuses its buffer.
func (h *Handover) Handle(cx *layer4.Connection, _ layer4.Handler) error {
	conn := &handedConn{Conn: cx, closed: make(chan struct{})}
	if err := handovers.hand(h.To, conn); err != nil {
		return err
	}
	conn.awaitEnd()
	return nil
}

// handedConn tells when it is closed and no longer in use.
type handedConn struct {
	net.Conn
	once   sync.Once
	err    error
	closed chan struct{}

	using sync.RWMutex // held while it is read or written
	gone  bool
}

func (c *handedConn) awaitEnd() {
	<-c.closed
	c.using.Lock() // a read or write that is under way fails as the socket is closed
	defer c.using.Unlock()
	c.gone = true
}

func (c *handedConn) Read(p []byte) (int, error) {
	c.using.RLock()
	defer c.using.RUnlock()
	if c.gone {
		return 0, net.ErrClosed
	}
	return c.Conn.Read(p)
}

func (c *handedConn) Write(p []byte) (int, error) {
	c.using.RLock()
	defer c.using.RUnlock()
	if c.gone {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// Close may be called several times at once, for a WebSocket. All calls return when TLS has sent its last message.
func (c *handedConn) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		close(c.closed)
	})
	return c.err
}

var (
	_ caddy.Validator    = (*Handover)(nil)
	_ layer4.NextHandler = (*Handover)(nil)
)
