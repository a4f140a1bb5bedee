package load

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const stampSize = 8

// clock stamps packets with the time at which they were sent, and decides which of them belong to the measured time. It
// uses the monotonic clock, which publishers and subscribers share.
type clock struct {
	zero       time.Time
	salt       uint64       // makes bytes without a stamp, such as padding, fall outside of the measured time
	start, end atomic.Int64 // nanoseconds since zero
}

func newClock() *clock {
	c := &clock{zero: time.Now(), salt: rand.Uint64()}
	c.start.Store(math.MaxInt64)
	c.end.Store(math.MaxInt64)
	return c
}

func (c *clock) now() int64 { return int64(time.Since(c.zero)) }

func (c *clock) measured(sent int64) bool { return sent >= c.start.Load() && sent < c.end.Load() }

// stamp writes now into the last bytes of a packet.
func (c *clock) stamp(packet []byte) int64 {
	now := c.now()
	binary.BigEndian.PutUint64(packet[len(packet)-stampSize:], uint64(now)^c.salt)
	return now
}

// sent reads when a packet was sent. A packet without a stamp gives a time outside of the run.
func (c *clock) sent(packet []byte) (int64, bool) {
	if len(packet) < stampSize {
		return 0, false
	}
	sent := int64(binary.BigEndian.Uint64(packet[len(packet)-stampSize:]) ^ c.salt)
	return sent, sent > 0 && sent <= c.now()
}
