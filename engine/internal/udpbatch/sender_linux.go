package udpbatch

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"lkhub/engine/internal/sendcount"
)

// maxRefusals is how often in a row sendmmsg may refuse a packet that sendto then takes, before sendmmsg is no longer
// used. One refusal proves nothing: a firewall that drops some of the outgoing packets causes EPERM, as a system call
// filter does.
const maxRefusals = 8

// mmsgSender sends with sendmmsg(2). Packets of the same length for the same destination go as one message, which the
// kernel cuts (UDP_SEGMENT in udp(7), Linux 4.18), so that they pass through its network stack once.
//
// Not every system that calls itself Linux allows sendmmsg: system call filters (seccomp) refuse it, and programs that
// emulate a kernel may lack it. There each packet leaves by itself.
type mmsgSender struct {
	plain    plainWriter
	batches  batchWriter
	grouper  grouper
	messages []ipv4.Message
	addrs    []net.UDPAddr // of the messages
	cuts     [][]byte      // the UDP_SEGMENT control message of each message

	refusals int         // in a row
	givenUp  bool        // sendmmsg is no longer used
	tell     func(error) // called once, when sendmmsg is given up
	counter  *sendcount.Counter
}

// batchWriter is x/net's sendmmsg. If it sends only some messages, its error is about the first one that it did not
// send.
type batchWriter interface {
	WriteBatch(messages []ipv4.Message, flags int) (int, error)
}

type plainWriter interface {
	WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error)
}

func newSender(conn *net.UDPConn, counter *sendcount.Counter, tell func(error)) sender {
	// For IPv6, ipv4's sendmmsg is the same.
	return newMmsgSender(conn, ipv4.NewPacketConn(conn), canCut(conn), counter, tell)
}

func newMmsgSender(plain plainWriter, batches batchWriter, cut bool, counter *sendcount.Counter, tell func(error)) *mmsgSender {
	s := &mmsgSender{
		plain: plain, batches: batches, grouper: grouper{alone: !cut}, counter: counter, tell: tell,
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
	if s.givenUp {
		return s.sendAll(b)
	}
	groups := s.grouper.group(b)
	for i := range groups {
		s.fill(i, b, &groups[i])
	}
	for sent := 0; sent < len(groups); {
		n, err := s.batches.WriteBatch(s.messages[sent:len(groups)], 0)
		if n > 0 {
			s.counter.Leave(count(groups[sent : sent+n]))
			sent += n
			s.refusals = 0
		}
		switch {
		case err == nil && n > 0:
			continue
		case err == nil:
			err = io.ErrNoProgress
		case errors.Is(err, net.ErrClosed):
			return err
		}
		// The error is about the first message that was not sent. Its packets are sent one by one: perhaps the kernel
		// or a network card can't cut this message (EINVAL, EMSGSIZE, EIO), or the call itself is refused.
		went, closed := s.sendAlone(b, groups[sent].packets)
		if closed != nil {
			return closed
		}
		if len(groups[sent].packets) == 1 && went {
			s.refusals++
		}
		sent++
		if errors.Is(err, unix.ENOSYS) || s.refusals == maxRefusals {
			s.givenUp = true
			s.tell(err)
			for ; sent < len(groups); sent++ {
				if _, closed := s.sendAlone(b, groups[sent].packets); closed != nil {
					return closed
				}
			}
		}
	}
	return nil
}

func (s *mmsgSender) sendAll(b *batch) error {
	for i := range b.packets {
		if _, closed := s.sendOne(b, i); closed != nil {
			return closed
		}
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

// sendAlone says whether any of the packets left. Its error means that the socket is closed.
func (s *mmsgSender) sendAlone(b *batch, packets []int) (went bool, closed error) {
	for _, index := range packets {
		left, closed := s.sendOne(b, index)
		if closed != nil {
			return went, closed
		}
		went = went || left
	}
	return went, nil
}

func (s *mmsgSender) sendOne(b *batch, index int) (left bool, closed error) {
	p := b.packets[index]
	_, err := s.plain.WriteToUDPAddrPort(b.content(p), p.to)
	switch {
	case errors.Is(err, net.ErrClosed):
		return false, err
	case err != nil:
		s.counter.Refuse(err, p.to)
		return false, nil
	}
	s.counter.Leave(1)
	return true, nil
}

func count(messages []message) (packets int) {
	for _, m := range messages {
		packets += len(m.packets)
	}
	return packets
}
