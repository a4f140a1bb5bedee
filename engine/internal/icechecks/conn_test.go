package icechecks

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v4/stdnet"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/udpbatch"
	"lkhub/engine/internal/udpread"
)

// patience is what a packet on this machine may take.
const patience = 30 * time.Second

func endOf(conn net.PacketConn) netip.AddrPort { return conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// All of pion's ways to read and write are recorded, and the packets arrive.
func TestWatchedSocketsRecordWhichEndIsFirst(t *testing.T) {
	opener, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(*Record) net.PacketConn{
		"for all calls": func(r *Record) net.PacketConn { return Watch(udpread.Conn{UDPConn: enginetest.ListenUDP(t)}, r) },
		"for one call": func(r *Record) net.PacketConn {
			conn, err := Net{opener, r}.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			return conn
		},
	} {
		for _, direct := range []bool{false, true} {
			record := NewRecord()
			here := open(record)
			write, read := here.WriteTo, here.ReadFrom
			if direct {
				socket := here.(udpbatch.Socket)
				write = func(b []byte, to net.Addr) (int, error) {
					return socket.WriteToAddrPort(b, to.(*net.UDPAddr).AddrPort())
				}
				read = func(b []byte) (int, net.Addr, error) {
					n, from, err := socket.ReadFromAddrPort(b)
					return n, net.UDPAddrFromAddrPort(from), err
				}
			}
			asked, comer := enginetest.ListenUDP(t), enginetest.ListenUDP(t)
			if _, err := write(check, asked.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			buffer := make([]byte, 1500)
			if n, err := asked.Read(buffer); err != nil || n != len(check) {
				t.Errorf("%s: %d bytes arrive: %v", name, n, err)
			}
			for _, client := range []*net.UDPConn{asked, comer} {
				if _, err := client.WriteToUDPAddrPort(check, endOf(here)); err != nil {
					t.Fatal(err)
				}
				n, from, err := read(buffer)
				if err != nil || n != len(check) || from.(*net.UDPAddr).AddrPort() != endOf(client) {
					t.Errorf("%s: %d bytes from %v: %v", name, n, from, err)
				}
			}
			if _, err := write(check, comer.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			if record.CameFirst(endOf(asked)) || !record.CameFirst(endOf(comer)) {
				t.Errorf("%s, directly %v: a client that was sent to first counts as first, or the other way round", name, direct)
			}
		}
	}
}

// The mDNS reader, golang.org/x/net's ipv4.PacketConn, accepts only a *net.UDPConn.
func TestSocketForMulticastIsLeftAlone(t *testing.T) {
	opener, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	for text, plain := range map[string]bool{"224.0.0.251": true, "127.0.0.1": false} {
		conn, err := Net{opener, NewRecord()}.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(text)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, ok := conn.(*net.UDPConn); ok != plain {
			t.Errorf("%s: %T", text, conn)
		}
	}
}

// pion uses these interfaces where it can. Without them each packet costs an allocation.
var (
	_ ice.AddrPortReaderWriter = Conn{}
	_ ice.AddrPortReaderWriter = udpConn{}
)
