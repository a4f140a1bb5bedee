package udpbatch

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/sendcount"
)

// patience is how long a packet on this machine may take.
const patience = 10 * time.Second

func open(t *testing.T) *Conn {
	t.Helper()
	c, ok := New(enginetest.ListenUDP(t), new(sendcount.Counter), func(refusal error) { t.Error(refusal) }).(*Conn)
	if !ok {
		t.Skip("no batches on this system")
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func addressOf(conn net.PacketConn) netip.AddrPort { return conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// numbered is a packet that carries its number.
func numbered(number, size int) []byte {
	return binary.BigEndian.AppendUint32(make([]byte, size-4), uint32(number))
}

// expectNumbers reads packets 0 to count-1, of the sizes that sizeOf returns.
func expectNumbers(t *testing.T, conn *net.UDPConn, count int, sizeOf func(int) int) {
	for want := range count {
		if !expectNumber(t, conn, want, sizeOf(want)) {
			return
		}
	}
}

func expectNumber(t *testing.T, conn *net.UDPConn, want, size int) bool {
	buf := make([]byte, maxDatagram)
	n, err := conn.Read(buf)
	if err != nil {
		t.Errorf("packet %d: %v", want, err)
		return false
	}
	if got := int(binary.BigEndian.Uint32(buf[n-4:])); got != want || n != size {
		t.Errorf("packet %d of %d bytes instead of %d of %d", got, n, want, size)
		return false
	}
	return true
}

func TestPacketsArriveInOrder(t *testing.T) {
	c := open(t)
	// Every seventh packet is smaller, as at the end of a frame, and now and then one is larger.
	sizeOf := func(i int) int { return 1200 - 500*(i%7/6) + 100*(i%31/30) }
	const writers, packets, ahead = 8, 2000, 50
	var all sync.WaitGroup
	for range writers {
		to := enginetest.ListenUDP(t)
		window := make(chan struct{}, ahead) // the receiver's buffer is limited
		all.Go(func() {
			for i := range packets {
				window <- struct{}{}
				packet := numbered(i, sizeOf(i))
				if _, err := c.WriteToAddrPort(packet, addressOf(to)); err != nil {
					t.Error(err)
				}
				clear(packet) // the caller may reuse its memory
			}
		})
		all.Go(func() {
			expectNumbers(t, to, packets, func(i int) int { <-window; return sizeOf(i) })
			for len(window) > 0 {
				<-window
			}
		})
	}
	all.Wait()
}

// A client without a route must not cost others a packet, which is the fault of pion/transport's batches.
func TestRefusedPacketsCostNoOther(t *testing.T) {
	c := open(t)
	to := enginetest.ListenUDP(t)
	broadcast := netip.MustParseAddrPort("255.255.255.255:7882") // EACCES without SO_BROADCAST
	const packets = 100
	for i := range packets {
		for range 3 {
			if _, err := c.WriteToAddrPort(make([]byte, 1200), broadcast); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.WriteTo(numbered(i, 1200), to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	expectNumbers(t, to, packets, func(int) int { return 1200 })
}

// For packets larger than the link's MTU, the kernel refuses to segment and fragments them instead.
func TestPacketsLargerThanTheLinkArrive(t *testing.T) {
	const inside = "LKHUB_TEST_SMALL_LINK"
	if os.Getenv(inside) == "" {
		if runtime.GOOS != "linux" || os.Getuid() != 0 {
			t.Skip("needs root, for a network namespace")
		}
		script := `ip link set lo mtu 1280 up && exec "$0" -test.run '^TestPacketsLargerThanTheLinkArrive$' -test.v`
		cmd := exec.Command("unshare", "--net", "sh", "-c", script, os.Args[0])
		cmd.Env = append(os.Environ(), inside+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	c := open(t)
	to := enginetest.ListenUDP(t)
	for i := range 20 {
		if _, err := c.WriteToAddrPort(numbered(i, 1400), addressOf(to)); err != nil {
			t.Fatal(err)
		}
	}
	expectNumbers(t, to, 20, func(int) int { return 1400 })
}

func TestReadsAndOversizedWrites(t *testing.T) {
	c := open(t)
	from := enginetest.ListenUDP(t)
	if _, err := from.WriteToUDPAddrPort([]byte("hello"), addressOf(c)); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 16)
	if n, sender, err := c.ReadFromAddrPort(buf); err != nil || string(buf[:n]) != "hello" || sender != addressOf(from) {
		t.Errorf("%q from %s: %v", buf[:n], sender, err)
	}
	if _, err := c.WriteToAddrPort(make([]byte, maxDatagram+1), addressOf(from)); err == nil {
		t.Error("a packet larger than any was taken")
	}
	if _, err := c.WriteTo([]byte("x"), &net.TCPAddr{}); err == nil {
		t.Error("a TCP address was taken")
	}
}

// stuck is a sender whose network takes nothing until it is closed.
type stuck chan struct{}

func (s stuck) send(*batch) error { <-s; return net.ErrClosed }

func TestCloseEndsWaitingWriters(t *testing.T) {
	c := open(t)
	sending := make(stuck)
	c.mu.Lock()
	c.sender = sending
	c.mu.Unlock()
	written := make(chan error)
	go func() {
		for {
			if _, err := c.WriteToAddrPort(make([]byte, 1200), destination(1)); err != nil {
				written <- err
				return
			}
		}
	}()
	full := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !c.queue.fits(1200)
	}
	for deadline := time.Now().Add(patience); !full(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the queue has no end")
		}
	}
	go close(sending)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-written; !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}
