package relay

import (
	"net"
	"sync"
	"time"

	"lkhub/engine/internal/seen"
)

// clients know whom each relay socket is for: what a client has sent to media through one proves its way in.
// An allocation alone proves little, since clients make them on every way and most use none.
type clients struct {
	outside *seen.Record

	mu   sync.Mutex
	open map[int]*peerConn // by relay port
}

func newClients(config Config) *clients {
	at := seen.NewHome()
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

// allocated is pion's report of whom a relayed address was given to.
func (c *clients) allocated(client, relayed net.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn := c.open[relayed.(*net.UDPAddr).Port]; conn != nil {
		conn.client = client
	}
}

func (c *clients) closed(conn *peerConn) {
	c.mu.Lock()
	// The port may be another socket's by now.
	if c.open[conn.port()] == conn {
		delete(c.open, conn.port())
	}
	c.mu.Unlock()
	c.note(conn)
}

// seen tells who has used a path, up to now.
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

// note takes down a client if its packets have reached media since the last time, and tells whether they have.
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

// isMedia tells DTLS, RTP and RTCP from the checks of ICE by a packet's first byte (RFC 7983, section 7): only for the
// pair that both ends have agreed on is there any.
func isMedia(packet []byte) bool {
	return len(packet) > 0 && (20 <= packet[0] && packet[0] <= 63 || 128 <= packet[0] && packet[0] <= 191)
}
