// Package sendcount counts the packets that a process sends, and those that the machine refuses to send. Code that
// sends media ignores such an error and treats the packet as lost. If every packet is refused, nothing else would tell
// the reason.
package sendcount

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Counter counts for all sockets of a process. Its zero value is ready.
type Counter struct {
	left atomic.Int64
	row  atomic.Int64

	mu      sync.Mutex
	refused int64
	last    *Refusal
}

// Report is the state of a Counter.
type Report struct {
	Left    int64    `json:"left"`    // packets that the kernel took, since the start
	Refused int64    `json:"refused"` // packets that the kernel refused, since the start
	Row     int64    `json:"row"`     // refused packets since the last one that left
	Last    *Refusal `json:"last"`
}

// Refusal is one refused packet.
type Refusal struct {
	At    float64 `json:"at"`    // seconds since 1970
	Errno string  `json:"errno"` // its name; "" if it has none
	Error string  `json:"error"`
	To    string  `json:"to"` // address and port
}

// Leave counts packets that have left.
func (c *Counter) Leave(packets int) {
	c.left.Add(int64(packets))
	if c.row.Load() != 0 {
		c.row.Store(0)
	}
}

// Refuse counts a packet that was refused.
func (c *Counter) Refuse(err error, to netip.AddrPort) {
	errno, text := syscall.Errno(0), err.Error()
	if errors.As(err, &errno) {
		text = errno.Error()
	}
	refusal := &Refusal{
		float64(time.Now().UnixMilli()) / 1000, unix.ErrnoName(errno), text,
		netip.AddrPortFrom(to.Addr().Unmap(), to.Port()).String(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.row.Add(1)
	c.refused++
	c.last = refusal
}

// Report is nil if nothing was sent, or if nothing is counted on this system.
func (c *Counter) Report() *Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.left.Load()
	if left == 0 && c.refused == 0 {
		return nil
	}
	return &Report{left, c.refused, c.row.Load(), c.last}
}
