package relay

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"lkhub/engine/internal/places"
	"lkhub/engine/internal/sends"
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

// door accepts TURN over byte streams, whose TLS has been ended. TURN knows clients by their address, so it is
// theirs that a connection has to tell.
type door struct {
	net.Listener
	most   int // connections at a time
	places *places.Counter
	limits streamLimits
	local  *net.TCPAddr

	mu   sync.Mutex
	open map[*stream]struct{}
	done bool          // nobody is let in any more
	gone chan struct{} // closed when that is so and the last stream has left
	// Streams by the very address that pion was given for them, since it reports allocations by address.
	byClient map[net.Addr]*stream
}

// newDoor has no place for more connections than relay ports: they could not all have an allocation. No address
// has them all.
func newDoor(listener net.Listener, config Config, limits streamLimits) *door {
	most := int(config.RelayPorts.Max-config.RelayPorts.Min) + 1
	return &door{
		Listener: listener,
		most:     most,
		places:   places.New(most),
		limits:   limits,
		local:    &net.TCPAddr{IP: config.RelayAddress.AsSlice()},
		open:     map[*stream]struct{}{},
		byClient: map[net.Addr]*stream{},
		gone:     make(chan struct{}),
	}
}

// Accept ends when the listener is closed and the last stream has left: pion takes any error for the end of all that
// came in, and would accept nobody any more.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			<-d.gone
			return nil, err
		case err != nil:
			time.Sleep(acceptPause)
			continue
		}
		if stream := d.admit(conn); stream != nil {
			return stream, nil
		}
		_ = conn.Close()
	}
}

func (d *door) admit(conn net.Conn) *stream {
	client, ok := conn.RemoteAddr().(*net.TCPAddr)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !ok || d.done || !d.places.Enter(places.ClientOf(client), d.most) {
		return nil
	}
	s := newStream(conn, client, d)
	d.open[s] = struct{}{}
	d.byClient[client] = s
	return s
}

// retire lets nobody in any more; who is there stays.
func (d *door) retire() error {
	err := d.Listener.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.done {
		d.done = true
		d.closeIfGone()
	}
	return err
}

// closeIfGone is called under the lock when there may be nobody for the first time.
func (d *door) closeIfGone() {
	if d.done && len(d.open) == 0 {
		close(d.gone)
	}
}

// Close ends the connections too; pion's own Close leaves them.
func (d *door) Close() error {
	err := d.retire()
	d.mu.Lock()
	streams := make([]*stream, 0, len(d.open))
	for s := range d.open {
		streams = append(streams, s)
	}
	d.mu.Unlock()
	for _, s := range streams {
		_ = s.Close()
	}
	return err
}

func (d *door) connections() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.open)
}

// left is called when a stream has closed.
func (d *door) left(s *stream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.idle.Stop()
	delete(d.open, s)
	d.places.Leave(places.ClientOf(s.client))
	delete(d.byClient, s.client)
	d.closeIfGone()
}

// allocated and released are pion's reports, of UDP clients too.
func (d *door) allocated(client net.Addr) { d.withStream(client, (*stream).allocated) }

func (d *door) released(client net.Addr) { d.withStream(client, (*stream).released) }

func (d *door) withStream(client net.Addr, do func(*stream)) {
	d.mu.Lock()
	s := d.byClient[client]
	d.mu.Unlock()
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
	sends *sends.Counter
}

func inFamilyOf(address netip.Addr, conn net.PacketConn, counter *sends.Counter) net.PacketConn {
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
