package relay

import (
	"net"
	"net/netip"
	"testing"

	"github.com/pion/turn/v5"

	"lkhub/engine/internal/turntest"
)

// dialer opens a connection to the relay for one client.
type dialer func(t *testing.T, r *Server) net.PacketConn

// dialers are all transports to a relay. What the relay refuses on one, it must refuse on all.
var dialers = map[string]dialer{"udp": dialUDP, "stream": dialStream}

func overEveryTransport(t *testing.T, test func(t *testing.T, dial dialer)) {
	for name, dial := range dialers {
		t.Run(name, func(t *testing.T) { test(t, dial) })
	}
}

func dialUDP(t *testing.T, r *Server) net.PacketConn {
	t.Helper()
	return turntest.DialUDP(t, net.UDPAddrFromAddrPort(r.config.Listen[0]))
}

func dialStream(t *testing.T, r *Server) net.PacketConn {
	t.Helper()
	return turn.NewSTUNConn(dialAs(t, r, turntest.NextClient()))
}

// dialAs connects as the edge does for a client with this address.
func dialAs(t *testing.T, r *Server, client netip.AddrPort) net.Conn {
	t.Helper()
	conn, err := r.streams.(*turntest.Handed).Dial(net.TCPAddrFromAddrPort(client))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func newRawClient(t *testing.T, r *Server, dial dialer) *turntest.Client {
	t.Helper()
	return turntest.NewClient(t, dial(t, r))
}
