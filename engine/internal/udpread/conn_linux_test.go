package udpread_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lkhub/engine/internal/sendcount"
	"lkhub/engine/internal/udpbatch"
	"lkhub/engine/internal/udpread"
)

// With IP_RECVERR the kernel reports to a socket that one of its own packets was refused. The read fails, and the
// socket goes on.
func TestSocketIsReadAfterARefusedRead(t *testing.T) {
	for name, wrap := range map[string]func(*net.UDPConn) net.PacketConn{
		"alone": func(c *net.UDPConn) net.PacketConn { return udpread.Conn{UDPConn: c} },
		"in batches": func(c *net.UDPConn) net.PacketConn {
			return udpbatch.New(c, new(sendcount.Counter), func(refusal error) { t.Error(refusal) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, here := listen(t)
			raw, err := conn.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var failed error
			err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1) })
			if err := errors.Join(err, failed); err != nil {
				t.Fatal(err)
			}
			gone, closed := listen(t)
			gone.Close()
			peer, from := listen(t)

			_, _ = conn.WriteToUDPAddrPort([]byte("x"), closed)
			if _, _, err := conn.ReadFromUDPAddrPort(make([]byte, 10)); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("the kernel refuses no read here: %v", err)
			}

			wrapped := wrap(conn)
			defer wrapped.Close()
			for range 2 {
				_, _ = conn.WriteToUDPAddrPort([]byte("x"), closed)
				if _, err := peer.WriteToUDPAddrPort([]byte("heard"), here); err != nil {
					t.Fatal(err)
				}
				buffer := make([]byte, 10)
				n, at, err := wrapped.ReadFrom(buffer)
				if err != nil || string(buffer[:n]) != "heard" || at.String() != from.String() {
					t.Errorf("ReadFrom: %q from %v: %v", buffer[:n], at, err)
				}
				_, _ = conn.WriteToUDPAddrPort([]byte("x"), closed)
				if _, err := peer.WriteToUDPAddrPort([]byte("heard"), here); err != nil {
					t.Fatal(err)
				}
				direct := wrapped.(interface {
					ReadFromAddrPort([]byte) (int, netip.AddrPort, error)
				})
				if n, at, err := direct.ReadFromAddrPort(buffer); err != nil || string(buffer[:n]) != "heard" || at != from {
					t.Errorf("ReadFromAddrPort: %q from %v: %v", buffer[:n], at, err)
				}
			}
		})
	}
}

func listen(t *testing.T) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()
}
