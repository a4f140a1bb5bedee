package udpbatch

import (
	"encoding/binary"
	"errors"
	"net"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// mmsgSender sends with sendmmsg(2), and packets of one length for one destination as one message that the kernel cuts
// (UDP_SEGMENT in udp(7), Linux 4.18): they walk through its network stack once.
type mmsgSender struct {
	conn     *net.UDPConn
	batches  *ipv4.PacketConn // conn, for x/net's sendmmsg, which is the same for IPv6
	grouper  grouper
	messages []ipv4.Message
	addrs    []net.UDPAddr // of messages
	cuts     [][]byte      // the UDP_SEGMENT control message of each of messages
}

func newSender(conn *net.UDPConn) sender {
	s := &mmsgSender{
		conn: conn, batches: ipv4.NewPacketConn(conn), grouper: grouper{alone: !canCut(conn)},
		messages: make([]ipv4.Message, maxPackets), addrs: make([]net.UDPAddr, maxPackets),
		cuts: make([][]byte, maxPackets),
	}
	for i := range s.messages {
		s.messages[i].Addr = &s.addrs[i]
		s.cuts[i] = make([]byte, unix.CmsgSpace(2))
		header := (*unix.Cmsghdr)(unsafe.Pointer(&s.cuts[i][0]))
		header.Level, header.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
		header.SetLen(unix.CmsgLen(2))
	}
	return s
}

func canCut(conn *net.UDPConn) bool {
	can := false
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		_, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		can = err == nil
	})
	return err == nil && can
}

func (s *mmsgSender) send(b *batch) error {
	groups := s.grouper.group(b)
	for i := range groups {
		s.fill(i, b, &groups[i])
	}
	for sent := 0; sent < len(groups); {
		n, err := s.batches.WriteBatch(s.messages[sent:len(groups)], 0)
		sent += max(n, 0)
		if err == nil {
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		// It is about the first message that was not sent. A kernel or a card that can't cut this one after all says
		// EINVAL, EMSGSIZE or EIO: its packets get their chance one by one.
		if len(groups[sent].packets) > 1 {
			if err := s.sendAlone(b, groups[sent].packets); err != nil {
				return err
			}
		}
		sent++
	}
	return nil
}

func (s *mmsgSender) fill(i int, b *batch, group *message) {
	m, to := &s.messages[i], b.packets[group.packets[0]].to
	m.Buffers = m.Buffers[:0]
	for _, index := range group.packets {
		m.Buffers = append(m.Buffers, b.content(b.packets[index]))
	}
	m.OOB = nil
	if len(group.packets) > 1 {
		m.OOB = s.cuts[i]
		binary.NativeEndian.PutUint16(m.OOB[unix.CmsgLen(0):], uint16(group.size))
	}
	s.addrs[i].IP = append(s.addrs[i].IP[:0], to.Addr().AsSlice()...)
	s.addrs[i].Port, s.addrs[i].Zone = int(to.Port()), to.Addr().Zone()
}

func (s *mmsgSender) sendAlone(b *batch, packets []int) error {
	for _, index := range packets {
		p := b.packets[index]
		if _, err := s.conn.WriteToUDPAddrPort(b.content(p), p.to); errors.Is(err, net.ErrClosed) {
			return err
		}
	}
	return nil
}
