// Package udpread keeps a UDP socket readable. pion takes the first error of a read for the end of the socket, and a port
// that is no longer read is dead until its process is restarted.
package udpread

import (
	"errors"
	"log"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// pause keeps a machine that refuses every read from spending all its time on reads. It is short beside a lost
	// packet.
	pause = time.Millisecond
	// quiet is how long no further refused read is reported.
	quiet = time.Minute
)

// Conn is a UDP socket that is read again after an error that does not end it: for example, when the kernel has no
// memory for a moment (recvmsg(2)).
type Conn struct {
	*net.UDPConn
}

// ReadFrom reads one packet.
func (c Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.UDPConn.ReadFrom(b)
		if err == nil || !Again(err) {
			return n, from, err
		}
	}
}

// ReadFromAddrPort is ReadFrom without an allocation.
func (c Conn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err == nil || !Again(err) {
			return n, from, err
		}
	}
}

// WriteToAddrPort makes Conn an ice.AddrPortReaderWriter.
func (c Conn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.WriteToUDPAddrPort(b, to)
}

// Again says whether to read again after err. If so, it first waits a moment.
func Again(err error) bool {
	if !passes(err) {
		return false
	}
	if now, last := time.Now().Unix(), told.Load(); now-last >= int64(quiet/time.Second) && told.CompareAndSwap(last, now) {
		log.Printf("a UDP socket could not be read, and is read again: %v", err)
	}
	time.Sleep(pause)
	return true
}

// told is when a refused read was last reported, in seconds since 1970.
var told atomic.Int64

// passes is false if the socket was closed, if a deadline has passed, and if another read can't help.
func passes(err error) bool {
	var errno syscall.Errno
	if errors.Is(err, net.ErrClosed) || !errors.As(err, &errno) || errno.Timeout() {
		return false
	}
	return errno != syscall.EBADF && errno != syscall.ENOTSOCK && errno != syscall.EINVAL && errno != syscall.EFAULT
}
