package connlimit

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// pause is how long to wait after Accept failed; descriptors come back as connections end.
const pause = 50 * time.Millisecond

// quiet is for how long errors that follow each other are told once.
const quiet = 10 * time.Second

// Listener is a listener whose Accept fails only when it is closed. A connection that gets no place is closed at once.
type Listener struct {
	net.Listener
	// Counter may be shared by several listeners.
	Counter *Counter
	// Most is what the client of this address may hold. It is the address itself, and not the network that the client is
	// counted under: a proxy has one address, and its neighbours are not it.
	Most func(netip.Addr) int
	// Failed hears of errors of the system.
	Failed func(error)
}

// Accept waits for a connection that gets a place, whatever happens.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if err != nil {
			// Running out of descriptors is one of them, and it passes.
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

// placed holds its place until it is closed.
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
