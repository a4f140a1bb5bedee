package relay

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"lkhub/engine/internal/connlimit"
	"lkhub/engine/internal/sendcount"
)

// acceptPause is for a machine that has no file descriptor left, as net/http does it.
const acceptPause = 50 * time.Millisecond

// streamLimits are how long a connection may go on without being of use.
type streamLimits struct {
	idle  time.Duration // without an allocation, from its first moment and after each
	write time.Duration // without taking what is sent to it
}

// A client that means it asks for an allocation within two round trips, and whose connection takes nothing for seconds
// has lost its call long before.
var usualLimits = streamLimits{idle: 10 * time.Second, write: 5 * time.Second}

// streamListener accepts TURN over byte streams, whose TLS has been ended. TURN knows clients by their address, so it is
// theirs that a connection has to tell.
type streamListener struct {
	net.Listener
	most    int // connections at a time
	counter *connlimit.Counter
	limits  streamLimits
	local   *net.TCPAddr

	mu   sync.Mutex
	open map[*stream]struct{}
	done bool          // nobody is let in any more
	gone chan struct{} // closed when that is so and the last stream has left
	// Streams by the very address that pion was given for them, since it reports allocations by address.
	byClient map[net.Addr]*stream
}

// newStreamListener has no place for more connections than relay ports: they could not all have an allocation. No address
// has them all.
func newStreamListener(listener net.Listener, config Config, limits streamLimits) *streamListener {
	most := int(config.RelayPorts.Max-config.RelayPorts.Min) + 1
	return &streamListener{
		Listener: listener,
		most:     most,
		counter:  connlimit.New(most),
		limits:   limits,
		local:    &net.TCPAddr{IP: config.RelayAddress.AsSlice()},
		open:     map[*stream]struct{}{},
		byClient: map[net.Addr]*stream{},
		gone:     make(chan struct{}),
	}
}

// Accept ends when the listener is closed and the last stream has left: pion takes any error for the end of all that
// came in, and would accept nobody any more.
func (l *streamListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			<-l.gone
			return nil, err
		case err != nil:
			time.Sleep(acceptPause)
			continue
		}
		if stream := l.admit(conn); stream != nil {
			return stream, nil
		}
		_ = conn.Close()
	}
}

func (l *streamListener) admit(conn net.Conn) *stream {
	client, ok := conn.RemoteAddr().(*net.TCPAddr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok || l.done || !l.counter.Enter(connlimit.ClientOf(client), l.most) {
		return nil
	}
	s := newStream(conn, client, l)
	l.open[s] = struct{}{}
	l.byClient[client] = s
	return s
}

// retire lets nobody in any more; who is there stays.
func (l *streamListener) retire() error {
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.done {
		l.done = true
		l.closeIfGone()
	}
	return err
}

// closeIfGone is called under the lock when there may be nobody for the first time.
func (l *streamListener) closeIfGone() {
	if l.done && len(l.open) == 0 {
		close(l.gone)
	}
}

// Close ends the connections too; pion's own Close leaves them.
func (l *streamListener) Close() error {
	err := l.retire()
	l.mu.Lock()
	streams := make([]*stream, 0, len(l.open))
	for s := range l.open {
		streams = append(streams, s)
	}
	l.mu.Unlock()
	for _, s := range streams {
		_ = s.Close()
	}
	return err
}

func (l *streamListener) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// left is called when a stream has closed.
func (l *streamListener) left(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.idle.Stop()
	delete(l.open, s)
	l.counter.Leave(connlimit.ClientOf(s.client))
	delete(l.byClient, s.client)
	l.closeIfGone()
}

// allocated and released are pion's reports, of UDP clients too.
func (l *streamListener) allocated(client net.Addr) { l.withStream(client, (*stream).allocated) }

func (l *streamListener) released(client net.Addr) { l.withStream(client, (*stream).released) }

func (l *streamListener) withStream(client net.Addr, do func(*stream)) {
	l.mu.Lock()
	s := l.byClient[client]
	l.mu.Unlock()
	if s != nil {
		do(s)
	}
}

// sameFamily is a listening socket as pion sees it: with the family of the relay address. pion gives a client that asks
// for no family the one of the address that it came to, and no relay socket has another than the relay address's.
//
// What it sends is counted.
type sameFamily struct {
	net.PacketConn
	local *net.UDPAddr
	sends *sendcount.Counter
}

func inFamilyOf(address netip.Addr, conn net.PacketConn, counter *sendcount.Counter) net.PacketConn {
	return sameFamily{conn, &net.UDPAddr{IP: address.AsSlice(), Port: conn.LocalAddr().(*net.UDPAddr).Port}, counter}
}

func (c sameFamily) WriteTo(p []byte, to net.Addr) (int, error) {
	n, err := c.PacketConn.WriteTo(p, to)
	switch udp, isUDP := to.(*net.UDPAddr); {
	case err == nil:
		c.sends.Leave(1)
	case isUDP && !errors.Is(err, net.ErrClosed):
		c.sends.Refuse(err, udp.AddrPort())
	}
	return n, err
}

func (c sameFamily) LocalAddr() net.Addr { return c.local }
