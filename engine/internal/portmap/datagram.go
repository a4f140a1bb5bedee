package portmap

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// RFC 6886, section 3.1, asks for 250 ms, doubled each time, nine times. A router on the same network that has not
// answered after two seconds speaks another protocol, which is tried next.
var datagramWaits = []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second}

// ask sends a datagram, repeats it a few times, and returns the answer. A connected socket receives only the gateway's.
func (p endpoints) ask(ctx context.Context, request []byte) ([]byte, error) {
	conn, err := net.DialUDP("udp4",
		net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.local, 0)),
		net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.gateway, p.port)))
	if err != nil {
		return nil, noAnswer("nothing listens there")
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	answer := make([]byte, 1100) // RFC 6887, section 7: no message is longer
	for _, wait := range p.waits {
		if _, err := conn.Write(request); err != nil {
			return nil, noAnswer("nothing listens there")
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		length, err := conn.Read(answer)
		if err == nil {
			return answer[:length], nil
		}
		if !isTimeout(err) {
			return nil, noAnswer("nothing listens there")
		}
	}
	return nil, noAnswer("it does not answer")
}
