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

// acceptPause is for a machine without free file descriptors, as in net/http.
const acceptPause = 50 * time.Millisecond

// streamLimits are how long a connection may be of no use.
type streamLimits struct {
	idle  time.Duration // without an allocation: from the start, and after each allocation
	write time.Duration // without taking what is sent to it
}

// A real client asks for an allocation within two round trips. A client whose connection takes nothing for seconds has
// already lost its call.
var usualLimits = streamLimits{idle: 10 * time.Second, write: 5 * time.Second}

// streamListener accepts TURN over byte streams, after TLS has been removed. TURN knows clients by their address, so
// each connection must report the client's address.
type streamListener struct {
	net.Listener
	most    int // connections at a time
	counter *connlimit.Counter
	limits  streamLimits
	local   *net.TCPAddr

	mu   sync.Mutex
	open map[*stream]struct{}
	done bool          // accepts no more connections
	gone chan struct{} // closed when done is set and the last stream has ended
	// Streams by the address that pion was given for them, since pion reports allocations by address.
	byClient map[net.Addr]*stream
}

// newStreamListener allows no more connections than relay ports, since more could not all have an allocation. A single
// address can't take all of them.
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

// Accept returns an error only when the listener is closed and the last stream has ended. pion takes any error for the
// end of all accepted connections, and would accept no more.
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

// retire accepts no more connections; open ones stay.
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

// closeIfGone needs the lock. It is called whenever the last stream may have ended.
func (l *streamListener) closeIfGone() {
	if l.done && len(l.open) == 0 {
		close(l.gone)
	}
}

// Close also ends the connections, which pion's own Close does not.
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

// pion calls allocated and released, also for UDP clients.
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

// sameFamily is a listening socket that reports the family of the relay address to pion. If a client asks for no
// family, pion gives it the family of the socket that it came to, and all relay sockets have the relay address's
// family.
//
// It also counts what it sends.
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
