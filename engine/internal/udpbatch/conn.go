// Package udpbatch is a UDP socket whose writes leave in batches: what an SFU sends for one packet that it received
// is a packet to each subscriber, and the system call for each of them is the largest single cost of forwarding.
package udpbatch

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/ice/v4"

	"lkhub/engine/internal/reads"
	"lkhub/engine/internal/sendcount"
)

// Conn queues what is written, and one goroutine sends the queue, all of it with few system calls. It never waits for a
// batch to fill: what it finds is what was written while it was sending, so batches are as large as the load makes
// them, and a packet on an idle hub leaves at once. Packets for one destination keep their order.
//
// An error of the network (no route, refused by a firewall) can't reach the writer any more. It costs the packet that
// met it, none of the others, as with a plain socket, whose callers in pion ignore it too. It is counted.
type Conn struct {
	reads.Conn
	sender sender

	mu     sync.Mutex
	room   *sync.Cond // the queue was taken, or closed
	work   *sync.Cond // something was queued, or closed
	queue  *batch
	spare  *batch
	closed bool
	ended  chan struct{}
}

// Socket is a UDP socket that pion reads and writes without an allocation.
type Socket interface {
	net.PacketConn
	ice.AddrPortReaderWriter
}

// sender sends a batch. What can't be sent is dropped.
type sender interface {
	send(packets *batch) error // only when the socket is closed
}

// New takes conn over, and counts what leaves. On systems where a batch gains nothing it returns one that counts
// nothing. tell hears, at most once, that this machine refuses to send batches; each packet leaves by itself then.
func New(conn *net.UDPConn, counter *sendcount.Counter, tell func(refusal error)) Socket {
	sender := newSender(conn, counter, tell)
	if sender == nil {
		return reads.Conn{UDPConn: conn}
	}
	c := &Conn{Conn: reads.Conn{UDPConn: conn}, sender: sender, queue: newBatch(), spare: newBatch(), ended: make(chan struct{})}
	c.room, c.work = sync.NewCond(&c.mu), sync.NewCond(&c.mu)
	go c.run()
	return c
}

// WriteTo queues a copy of b. It waits while the queue is full.
func (c *Conn) WriteTo(b []byte, addr net.Addr) (int, error) {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, &net.AddrError{Err: "not a UDP address", Addr: addr.String()}
	}
	return c.WriteToAddrPort(b, udp.AddrPort())
}

// WriteToAddrPort is WriteTo without an allocation: with ReadFromAddrPort it makes Conn an ice.AddrPortReaderWriter.
func (c *Conn) WriteToAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	if len(b) > maxDatagram {
		return c.WriteToUDPAddrPort(b, addr) // the kernel has the words for it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && !c.queue.fits(len(b)) {
		c.room.Wait()
	}
	if c.closed {
		return 0, net.ErrClosed
	}
	if c.queue.add(b, addr); len(c.queue.packets) == 1 {
		c.work.Signal()
	}
	return len(b), nil
}

// SetWriteDeadline does nothing: pion sets it to break off one writer's wait, and here no writer waits for the network.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// Close drops what is queued.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.room.Broadcast()
	c.work.Signal()
	c.mu.Unlock()
	err := c.UDPConn.Close()
	<-c.ended
	return err
}

func (c *Conn) run() {
	defer close(c.ended)
	for {
		packets := c.take()
		if packets == nil || c.sender.send(packets) != nil {
			return
		}
	}
}

// take waits for something to send; nil once closed.
func (c *Conn) take() *batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && len(c.queue.packets) == 0 {
		c.work.Wait()
	}
	if c.closed {
		return nil
	}
	c.spare.reset()
	c.queue, c.spare = c.spare, c.queue
	c.room.Broadcast()
	return c.spare
}
