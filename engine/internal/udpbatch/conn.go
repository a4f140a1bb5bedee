// Package udpbatch is a UDP socket whose writes leave in batches. For each packet that an SFU receives it sends one
// packet to every subscriber, and the system calls for these are the largest single cost of forwarding.
package udpbatch

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/ice/v4"

	"lkhub/engine/internal/sendcount"
	"lkhub/engine/internal/udpread"
)

// Conn queues what is written, and one goroutine sends the whole queue with few system calls. It never waits for a
// batch to fill: a batch is what was written during the last send. So batches are as large as the load makes them, and
// on an idle hub a packet leaves at once. Packets for one destination keep their order.
//
// A network error (no route, refused by a firewall) can no longer reach the writer. It costs only the packet that met
// it. With a plain socket the callers in pion ignore such errors too. The error is counted.
type Conn struct {
	udpread.Conn
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

// sender sends a batch. It drops what can't be sent.
type sender interface {
	send(packets *batch) error // only when the socket is closed
}

// New takes conn over and counts what leaves. On systems where batches gain nothing, it returns a socket that counts
// nothing. tell is called at most once, if this machine refuses to send batches; from then on each packet leaves by
// itself.
func New(conn *net.UDPConn, counter *sendcount.Counter, tell func(refusal error)) Socket {
	sender := newSender(conn, counter, tell)
	if sender == nil {
		return udpread.Conn{UDPConn: conn}
	}
	c := &Conn{Conn: udpread.Conn{UDPConn: conn}, sender: sender, queue: newBatch(), spare: newBatch(), ended: make(chan struct{})}
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

// WriteToAddrPort is WriteTo without an allocation. Together with ReadFromAddrPort it makes Conn an
// ice.AddrPortReaderWriter.
func (c *Conn) WriteToAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	if len(b) > maxDatagram {
		return c.WriteToUDPAddrPort(b, addr) // the kernel's error says what is wrong
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

// SetWriteDeadline does nothing: pion uses it to end one writer's wait, and here no writer waits for the network.
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

// take waits for something to send. It returns nil once the queue is closed.
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
