package main

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
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

var errNotFromTheEdge = errors.New("the connection doesn't begin with a PROXY header (version 2) of a TCP client")

// relayDoor accepts TURN over byte streams from who ended their TLS, on a Unix socket. Each connection begins with a
// PROXY header: it tells apart clients, which TURN knows by their address, and keeps the relay's view of them true.
type relayDoor struct {
	net.Listener
	most   int // connections at a time
	limits streamLimits
	local  *net.TCPAddr

	mu   sync.Mutex
	open map[*relayStream]struct{}
	// Streams by the very address that pion was given for them, since it reports allocations by address.
	byClient map[net.Addr]*relayStream
}

// openRelayDoor binds the socket for its owner alone. More connections than relay ports could not all have an
// allocation.
func openRelayDoor(config relayConfig, limits streamLimits) (*relayDoor, error) {
	listener, err := listenUnix(config.TLSSocket)
	if err != nil {
		return nil, socketFailure("relay-socket", "tls_socket "+config.TLSSocket, err)
	}
	return &relayDoor{
		Listener: listener,
		most:     int(config.RelayPorts.Max-config.RelayPorts.Min) + 1,
		limits:   limits,
		local:    &net.TCPAddr{IP: config.RelayAddress.AsSlice()},
		open:     map[*relayStream]struct{}{},
		byClient: map[net.Addr]*relayStream{},
	}, nil
}

// Accept ends with the listener alone: pion takes any error for its end, and would accept nobody any more.
func (d *relayDoor) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
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

func (d *relayDoor) admit(conn net.Conn) *relayStream {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.open) >= d.most {
		return nil
	}
	s := newRelayStream(conn, d)
	d.open[s] = struct{}{}
	return s
}

// Close ends the connections too; pion's own Close leaves them.
func (d *relayDoor) Close() error {
	err := d.Listener.Close()
	d.mu.Lock()
	streams := make([]*relayStream, 0, len(d.open))
	for s := range d.open {
		streams = append(streams, s)
	}
	d.mu.Unlock()
	for _, s := range streams {
		_ = s.Close()
	}
	return err
}

func (d *relayDoor) connections() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.open)
}

// arrived is called when a stream's client is known, left when the stream has closed.
func (d *relayDoor) arrived(s *relayStream, client *net.TCPAddr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.client = client
	if _, ok := d.open[s]; ok {
		d.byClient[client] = s
	}
}

func (d *relayDoor) left(s *relayStream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.idle.Stop()
	delete(d.open, s)
	if s.client != nil {
		delete(d.byClient, s.client)
	}
}

// allocated and released are pion's reports, of UDP clients too.
func (d *relayDoor) allocated(client net.Addr) { d.withStream(client, (*relayStream).allocated) }

func (d *relayDoor) released(client net.Addr) { d.withStream(client, (*relayStream).released) }

func (d *relayDoor) withStream(client net.Addr, do func(*relayStream)) {
	d.mu.Lock()
	s := d.byClient[client]
	d.mu.Unlock()
	if s != nil {
		do(s)
	}
}

// readClient takes the PROXY header off conn.
func readClient(conn net.Conn, limit time.Duration) (*proxyproto.Conn, *net.TCPAddr, error) {
	proxied := proxyproto.NewConn(conn,
		proxyproto.WithPolicy(proxyproto.REQUIRE),
		proxyproto.SetReadHeaderTimeout(limit),
		proxyproto.ValidateHeader(func(h *proxyproto.Header) error {
			if h.Version != 2 || h.Command != proxyproto.PROXY {
				return errNotFromTheEdge
			}
			return nil
		}))
	if proxied.ProxyHeader() == nil {
		return nil, nil, errNotFromTheEdge
	}
	client, ok := proxied.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return nil, nil, errNotFromTheEdge
	}
	return proxied, client, nil
}

// sameFamily is a listening socket as pion sees it: with the family of the relay address. pion gives a client that asks
// for no family the one of the address that it came to, and no relay socket has another than the relay address's.
type sameFamily struct {
	net.PacketConn
	local *net.UDPAddr
}

func inFamilyOf(address netip.Addr, conn net.PacketConn) net.PacketConn {
	return sameFamily{conn, &net.UDPAddr{IP: address.AsSlice(), Port: conn.LocalAddr().(*net.UDPAddr).Port}}
}

func (c sameFamily) LocalAddr() net.Addr { return c.local }
