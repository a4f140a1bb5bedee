package udpbatch

import "net/netip"

const (
	maxDatagram = 65507 // bytes of payload in a UDP packet over IPv4

	maxPackets = 512
	maxBytes   = maxPackets * 1500
)

// batch has packets in the order in which they were written, with their bytes in one piece of memory.
type batch struct {
	bytes   []byte
	packets []packet
}

type packet struct {
	start, end int // in bytes
	to         netip.AddrPort
}

func newBatch() *batch {
	return &batch{bytes: make([]byte, 0, maxBytes), packets: make([]packet, 0, maxPackets)}
}

func (b *batch) fits(size int) bool {
	return len(b.packets) < maxPackets && len(b.bytes)+size <= maxBytes
}

func (b *batch) add(bytes []byte, to netip.AddrPort) {
	start := len(b.bytes)
	b.bytes = append(b.bytes, bytes...)
	b.packets = append(b.packets, packet{start, len(b.bytes), to})
}

func (b *batch) reset() {
	b.bytes, b.packets = b.bytes[:0], b.packets[:0]
}

func (b *batch) content(p packet) []byte { return b.bytes[p.start:p.end] }
