package enginetest

import (
	"net"
	"testing"
	"time"
)

// packetPatience is how long a packet on this machine may take.
const packetPatience = 30 * time.Second

// ListenUDP opens a UDP socket on a free port of this machine. A read of it fails if no packet comes.
func ListenUDP(t testing.TB) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(packetPatience))
	return conn
}
