package udpbatch

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func destination(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 7882)
}

// For all inputs: each packet is in one message, packets for the same destination keep their order, and the kernel can
// cut each message back into the same packets.
func TestGroupKeepsEveryPacketAndItsOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var g grouper
	sizes := []int{0, 1, 40, 160, 1199, 1200, 1200, 1200, 60000}
	for range 2000 {
		b := newBatch()
		destinations := 1 + random.IntN(5)
		for range random.IntN(200) {
			if size := sizes[random.IntN(len(sizes))]; b.fits(size) {
				b.add(make([]byte, size), destination(random.IntN(destinations)))
			}
		}
		last := map[netip.AddrPort]int{}
		seen := 0
		for _, m := range g.group(b) {
			to := b.packets[m.packets[0]].to
			bytes := 0
			for i, index := range m.packets {
				p := b.packets[index]
				size := p.end - p.start
				bytes += size
				seen++
				if previous, ok := last[to]; ok && previous >= index {
					t.Fatalf("packet %d leaves after %d", index, previous)
				}
				last[to] = index
				switch {
				case p.to != to:
					t.Fatalf("a packet for %s goes to %s", p.to, to)
				case size > m.size, i < len(m.packets)-1 && size != m.size, size == 0 && len(m.packets) > 1:
					t.Fatalf("packet %d of %d is %d bytes long, the first %d", i, len(m.packets), size, m.size)
				}
			}
			if len(m.packets) > maxSegments || len(m.packets) > 1 && bytes > maxMessageBytes {
				t.Fatalf("%d packets of %d bytes in a message", len(m.packets), bytes)
			}
		}
		if seen != len(b.packets) {
			t.Fatalf("%d of %d packets", seen, len(b.packets))
		}
	}
}

func TestGroupJoinsAFrame(t *testing.T) {
	var g grouper
	b := newBatch()
	for _, size := range []int{1200, 1200, 700} { // a video frame, packet by packet to two subscribers
		b.add(make([]byte, size), destination(1))
		b.add(make([]byte, size), destination(2))
	}
	if got := len(g.group(b)); got != 2 {
		t.Errorf("%d messages", got)
	}
	g.alone = true
	if got := len(g.group(b)); got != 6 {
		t.Errorf("%d messages where the kernel can't cut", got)
	}
}
