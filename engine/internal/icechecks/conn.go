package icechecks

import (
	"net"
	"net/netip"

	"github.com/pion/transport/v4"

	"lkhub/engine/internal/udpbatch"
	"lkhub/engine/internal/udpread"
)

// Conn is a UDP socket whose ICE checks are recorded.
type Conn struct {
	udpbatch.Socket
	record *Record
}

// Watch returns a socket that records the ICE checks that it sends and receives.
func Watch(conn udpbatch.Socket, record *Record) Conn { return Conn{conn, record} }

// ReadFrom reads one packet.
func (c Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.Socket.ReadFrom(b)
	if udp, ok := from.(*net.UDPAddr); ok && err == nil {
		c.record.receives(b[:n], udp.AddrPort())
	}
	return n, from, err
}

// ReadFromAddrPort is ReadFrom without an allocation.
func (c Conn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, from, err := c.Socket.ReadFromAddrPort(b)
	if err == nil {
		c.record.receives(b[:n], from)
	}
	return n, from, err
}

// WriteTo writes one packet.
func (c Conn) WriteTo(b []byte, to net.Addr) (int, error) {
	if udp, ok := to.(*net.UDPAddr); ok {
		c.record.sends(b, udp.AddrPort())
	}
	return c.Socket.WriteTo(b, to)
}

// WriteToAddrPort is WriteTo without an allocation.
func (c Conn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c.record.sends(b, to)
	return c.Socket.WriteToAddrPort(b, to)
}

// Net opens watched sockets, for a media server in which each call has its own sockets.
type Net struct {
	transport.Net
	Record *Record
}

// ListenUDP opens a socket and watches it, except a socket for mDNS: no client sends there, and pion's mDNS reader
// needs the plain socket.
func (n Net) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, local)
	if udp, ok := conn.(*net.UDPConn); ok && err == nil && !(local != nil && local.IP.IsMulticast()) {
		return udpConn{udp, Watch(udpread.Conn{UDPConn: udp}, n.Record)}, nil
	}
	return conn, err
}

// udpConn is a watched socket with all methods of a transport.UDPConn.
type udpConn struct {
	*net.UDPConn
	watched Conn
}

func (c udpConn) ReadFrom(b []byte) (int, net.Addr, error) { return c.watched.ReadFrom(b) }

func (c udpConn) WriteTo(b []byte, to net.Addr) (int, error) { return c.watched.WriteTo(b, to) }

func (c udpConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	return c.watched.ReadFromAddrPort(b)
}

func (c udpConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.watched.WriteToAddrPort(b, to)
}
