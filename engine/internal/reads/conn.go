// Package reads keeps a UDP socket readable. pion takes the first error of a read for the end of the socket, and a port that
// is not read any more is dead until its process is started again.
package reads

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
	// pause keeps a machine that refuses every read from being kept busy by them. It is short beside a lost packet.
	pause = time.Millisecond
	// quiet is how long nothing more is said of refused reads.
	quiet = time.Minute
)

// Conn is a UDP socket that is read again after an error that does not end it, as when the kernel has no memory for a
// moment (recvmsg(2)).
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

// Again says whether to read once more after err, and waits a moment before it does.
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

// told is when that was last said, in seconds since 1970.
var told atomic.Int64

// passes is false for a socket that was closed, a deadline, and what no further read will change.
func passes(err error) bool {
	var errno syscall.Errno
	if errors.Is(err, net.ErrClosed) || !errors.As(err, &errno) || errno.Timeout() {
		return false
	}
	return errno != syscall.EBADF && errno != syscall.ENOTSOCK && errno != syscall.EINVAL && errno != syscall.EFAULT
}
