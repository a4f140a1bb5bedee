package udpbatch

import "net/netip"

const (
	maxSegments     = 64    // UDP_MAX_SEGMENTS of kernels before 6.7
	maxMessageBytes = 65000 // a message is one IP packet until the kernel cuts it
)

// message has packets for one destination that leave together. All are as long as the first, except the last, which may
// be shorter.
type message struct {
	packets []int // indices into a batch
	bytes   int
	size    int // of each packet
	full    bool
}

// grouper finds the messages of a batch. It reuses its memory for the next batch.
type grouper struct {
	alone    bool // a message for each packet
	messages []message
	open     map[netip.AddrPort]int // the last message of each destination
}

// group returns the batch's messages. Packets for the same destination keep their order. The result is valid until the
// next call.
func (g *grouper) group(b *batch) []message {
	if g.open == nil {
		g.open = make(map[netip.AddrPort]int)
	}
	clear(g.open)
	count := 0
	for i, p := range b.packets {
		size := p.end - p.start
		if at, ok := g.open[p.to]; ok && !g.alone && g.messages[at].takes(size) {
			g.messages[at].add(i, size)
			continue
		}
		if count == len(g.messages) {
			g.messages = append(g.messages, message{})
		}
		m := &g.messages[count]
		*m = message{packets: append(m.packets[:0], i), bytes: size, size: size}
		g.open[p.to] = count
		count++
	}
	return g.messages[:count]
}

func (m *message) takes(size int) bool {
	return !m.full && size > 0 && size <= m.size && len(m.packets) < maxSegments && m.bytes+size <= maxMessageBytes
}

func (m *message) add(index, size int) {
	m.packets = append(m.packets, index)
	m.bytes += size
	m.full = size < m.size
}
