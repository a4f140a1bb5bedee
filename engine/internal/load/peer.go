package load

import (
	"net"
	"sync/atomic"
)

// peer sends back all packets, and counts them.
type peer struct {
	conn    *net.UDPConn
	packets atomic.Uint64 // in the measured time
}

func openPeer(clock *clock, address string) (*peer, error) {
	at, err := net.ResolveUDPAddr("udp4", address)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp4", at)
	if err != nil {
		return nil, err
	}
	p := &peer{conn: conn}
	go func() {
		buffer := make([]byte, maxPacket)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			if sent, ok := clock.sent(buffer[:n]); ok && clock.measured(sent) {
				p.packets.Add(1)
			}
			_, _ = conn.WriteToUDPAddrPort(buffer[:n], from)
		}
	}()
	return p, nil
}

func (p *peer) addr() net.Addr { return p.conn.LocalAddr() }

func (p *peer) close() { _ = p.conn.Close() }
