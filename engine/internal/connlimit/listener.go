package connlimit

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// pause is how long to wait after Accept has failed. Descriptors become free as connections end.
const pause = 50 * time.Millisecond

// quiet is how long no further error is reported after the last one.
const quiet = 10 * time.Second

// Listener is a listener whose Accept fails only when it is closed. A connection that gets no place is closed at once.
type Listener struct {
	net.Listener
	// Counter may be shared by several listeners.
	Counter *Counter
	// Most returns how many places the client with this address may hold. It gets the address itself, and not the
	// network that the client is counted under: a proxy has one address, and its neighbours are other clients.
	Most func(netip.Addr) int
	// Failed is called with errors of the system.
	Failed func(error)
}

// Accept waits until a connection gets a place, through all errors.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if err != nil {
			// A lack of descriptors is one of these errors, and it passes.
			if l.Counter.noteFailure(err) {
				l.Failed(err)
			}
			time.Sleep(pause)
			continue
		}
		ip := ipOf(conn.RemoteAddr())
		client := ClientOfIP(ip)
		if !l.Counter.Enter(client, l.Most(ip)) {
			_ = conn.Close()
			continue
		}
		return &placed{Conn: conn, counter: l.Counter, client: client}, nil
	}
}

// placed is a connection that holds a place until it is closed.
type placed struct {
	net.Conn
	counter *Counter
	client  netip.Prefix
	closed  atomic.Bool
}

func (c *placed) Close() error {
	if !c.closed.Swap(true) {
		c.counter.Leave(c.client)
	}
	return c.Conn.Close()
}
