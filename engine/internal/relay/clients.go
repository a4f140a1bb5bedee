package relay

import (
	"net"
	"sync"
	"time"

	"lkhub/engine/internal/seen"
)

// clients knows which client each relay socket is for. A client that has sent media through its relay socket has proved
// that it can reach this machine. An allocation alone proves little: clients make one on every path and use few.
type clients struct {
	outside *seen.Record

	mu   sync.Mutex
	open map[int]*peerConn // by relay port
}

func newClients(config Config) *clients {
	at := seen.NewInside()
	for _, peer := range config.Peers {
		at.Told = append(at.Told, peer.Address)
		at.Served = append(at.Served, config.Translate.local(peer.Address))
	}
	return &clients{outside: seen.New(at.Has), open: map[int]*peerConn{}}
}

func (c *clients) opened(conn *peerConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn.port()] = conn
}

// allocated is called by pion with the client and its relayed address.
func (c *clients) allocated(client, relayed net.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn := c.open[relayed.(*net.UDPAddr).Port]; conn != nil {
		conn.client = client
	}
}

func (c *clients) closed(conn *peerConn) {
	c.mu.Lock()
	// By now the port may belong to another socket.
	if c.open[conn.port()] == conn {
		delete(c.open, conn.port())
	}
	c.mu.Unlock()
	c.note(conn)
}

// seen tells which client has last used each path.
func (c *clients) seen() map[string]seen.Sighting {
	c.mu.Lock()
	conns := make([]*peerConn, 0, len(c.open))
	for _, conn := range c.open {
		conns = append(conns, conn)
	}
	c.mu.Unlock()
	for _, conn := range conns {
		conn.lastCarried(time.Now())
	}
	return c.outside.Proven()
}

// note records a client if its packets have reached media since the last call, and tells whether they have.
func (c *clients) note(conn *peerConn) bool {
	if !conn.carried.Swap(false) {
		return false
	}
	c.mu.Lock()
	client := conn.client
	c.mu.Unlock()
	switch at := client.(type) {
	case *net.UDPAddr:
		c.outside.Note("turn-udp", at.AddrPort().Addr(), time.Now())
	case *net.TCPAddr:
		c.outside.Note("turn-tls", at.AddrPort().Addr(), time.Now())
	}
	return true
}

// isMedia tells DTLS, RTP and RTCP from ICE's checks by the first byte of a packet (RFC 7983, section 7). Media is only
// sent on the pair that both ends have agreed on.
func isMedia(packet []byte) bool {
	return len(packet) > 0 && (20 <= packet[0] && packet[0] <= 63 || 128 <= packet[0] && packet[0] <= 191)
}
