package udpbatch

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/sendcount"
)

// kernel takes what sendmmsg sends as answer says, which is called with the number of messages. It takes what sendto
// sends, unless that is refused.
type kernel struct {
	answer  func(messages int) (int, error)
	refuses error
	batches int
	got     []byte // one byte of each packet, in the order in which they left
}

func (k *kernel) WriteBatch(messages []ipv4.Message, _ int) (int, error) {
	k.batches++
	n, err := k.answer(len(messages))
	for _, m := range messages[:max(n, 0)] {
		for _, packet := range m.Buffers {
			k.got = append(k.got, packet[0])
		}
	}
	return n, err
}

func (k *kernel) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	if k.refuses != nil {
		return 0, k.refuses
	}
	k.got = append(k.got, b[0])
	return len(b), nil
}

func wrapped(err error) error {
	return &net.OpError{Op: "write", Err: os.NewSyscallError("sendmmsg", err)}
}

// sendRounds sends `rounds` batches of `count` packets, to different destinations or all to the same one. It returns
// the errors that were reported.
func sendRounds(t *testing.T, k *kernel, rounds, count int, together bool) (told []error) {
	t.Helper()
	counter := new(sendcount.Counter)
	s := newMmsgSender(k, k, true, counter, func(err error) { told = append(told, err) })
	defer func() {
		report, all := counter.Report(), int64(rounds*count)
		switch {
		case k.refuses == nil && (report.Left != all || report.Refused != 0):
			t.Errorf("counted %+v of %d packets that left", report, all)
		case k.refuses != nil && (report.Left != 0 || report.Refused != all || report.Row != all || report.Last.Errno != "EPERM"):
			t.Errorf("counted %+v of %d packets that were refused", report, all)
		}
	}()
	for range rounds {
		k.got = nil
		b, want := newBatch(), []byte(nil)
		for i := range count {
			to := destination(i)
			if together {
				to = destination(0)
			}
			b.add([]byte{byte(i)}, to)
			want = append(want, byte(i))
		}
		if err := s.send(b); err != nil {
			t.Fatal(err)
		}
		if k.refuses == nil && !slices.Equal(k.got, want) {
			t.Fatalf("sent %v, want %v", k.got, want)
		}
	}
	return told
}

func TestNoPacketIsLostWhereBatchesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      error
		together bool
		batches  int // how often sendmmsg is tried
	}{
		{"no such call", unix.ENOSYS, false, 1},
		{"no such call, packets that would be cut", unix.ENOSYS, true, 1},
		{"a filter of system calls", unix.EPERM, false, maxRefusals},
		{"another filter", unix.EACCES, false, maxRefusals},
		{"an emulated kernel", unix.EINVAL, false, maxRefusals},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &kernel{answer: func(int) (int, error) { return -1, wrapped(c.err) }}
			told := sendRounds(t, k, 20, 3, c.together)
			if k.batches != c.batches {
				t.Errorf("sendmmsg was tried %d times", k.batches)
			}
			if len(told) != 1 || !errors.Is(told[0], c.err) {
				t.Errorf("told %v", told)
			}
		})
	}
	t.Run("a kernel that sends none and says nothing", func(t *testing.T) {
		k := &kernel{answer: func(int) (int, error) { return 0, nil }}
		if told := sendRounds(t, k, 20, 3, false); len(told) != 1 || k.batches != maxRefusals {
			t.Errorf("told %v after %d tries", told, k.batches)
		}
	})
}

func TestBatchesGoOnWhereTheyWork(t *testing.T) {
	t.Run("a part at a time", func(t *testing.T) {
		k := &kernel{answer: func(n int) (int, error) { return (n + 1) / 2, nil }}
		if told := sendRounds(t, k, 20, 10, false); told != nil {
			t.Errorf("told %v", told)
		}
	})
	t.Run("some are refused by a firewall that lets a second try through", func(t *testing.T) {
		calls := 0
		k := &kernel{answer: func(n int) (int, error) {
			if calls++; calls%2 == 0 {
				return -1, wrapped(unix.EPERM)
			}
			return 1, nil
		}}
		if told := sendRounds(t, k, 100, 5, false); told != nil {
			t.Errorf("told %v", told)
		}
	})
	t.Run("a card that can't cut", func(t *testing.T) {
		k := &kernel{answer: func(int) (int, error) { return -1, wrapped(unix.EIO) }}
		if told := sendRounds(t, k, 100, 5, true); told != nil || k.batches != 100 {
			t.Errorf("told %v after %d tries", told, k.batches)
		}
	})
	t.Run("a firewall that refuses both", func(t *testing.T) {
		k := &kernel{answer: func(int) (int, error) { return -1, wrapped(unix.EPERM) }, refuses: wrapped(unix.EPERM)}
		if told := sendRounds(t, k, 100, 5, false); told != nil || k.batches != 500 {
			t.Errorf("told %v after %d tries", told, k.batches)
		}
	})
}

func TestSenderEndsWithItsSocket(t *testing.T) {
	for name, k := range map[string]*kernel{
		"in a batch": {answer: func(int) (int, error) { return -1, net.ErrClosed }},
		"alone":      {answer: func(int) (int, error) { return -1, unix.ENOSYS }, refuses: net.ErrClosed},
	} {
		s, b := newMmsgSender(k, k, true, new(sendcount.Counter), func(error) {}), newBatch()
		b.add([]byte{1}, destination(1))
		if err := s.send(b); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The real kernel, with the system call filter of a service manager or a container.
func TestPacketsArriveUnderASystemCallFilter(t *testing.T) {
	const inside = "LKHUB_TEST_REFUSED_WITH"
	if text := os.Getenv(inside); text != "" {
		errno, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		refuseCalls(t, uint32(errno), unix.SYS_SENDMMSG)
		var told []error
		c, to := New(enginetest.ListenUDP(t), new(sendcount.Counter), func(err error) { told = append(told, err) }).(*Conn), enginetest.ListenUDP(t)
		for i := range 200 {
			if _, err := c.WriteToAddrPort(numbered(i, 1200), addressOf(to)); err != nil {
				t.Fatal(err)
			}
			expectNumber(t, to, i, 1200) // one at a time, so that no batch forms
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if len(told) != 1 || !errors.Is(told[0], syscall.Errno(errno)) {
			t.Errorf("told %v", told)
		}
		return
	}
	for _, errno := range []syscall.Errno{unix.ENOSYS, unix.EPERM} {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"="+strconv.Itoa(int(errno)))
		switch out, err := cmd.CombinedOutput(); {
		case err != nil:
			t.Errorf("%v: %v: %s", errno, err, out)
		case strings.Contains(string(out), "--- SKIP"):
			t.Skipf("%s", out)
		}
	}
}

// The real kernel, which lets nothing out: no packet arrives, no error is returned, and the counter reports it.
func TestWhatIsRefusedAltogetherIsCounted(t *testing.T) {
	const inside = "LKHUB_TEST_REFUSED_ALL"
	if os.Getenv(inside) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		switch out, err := cmd.CombinedOutput(); {
		case err != nil:
			t.Errorf("%v: %s", err, out)
		case strings.Contains(string(out), "--- SKIP"):
			t.Skipf("%s", out)
		}
		return
	}
	counter := new(sendcount.Counter)
	c, to := New(enginetest.ListenUDP(t), counter, func(refusal error) { t.Error(refusal) }).(*Conn), enginetest.ListenUDP(t)
	if _, err := c.WriteToAddrPort(numbered(0, 1200), addressOf(to)); err != nil {
		t.Fatal(err)
	}
	expectNumber(t, to, 0, 1200)
	refuseCalls(t, uint32(unix.EPERM), unix.SYS_SENDMMSG, unix.SYS_SENDTO)
	const packets = 50
	for range packets {
		if _, err := c.WriteToAddrPort(make([]byte, 1200), addressOf(to)); err != nil {
			t.Fatal(err)
		}
	}
	refused := func() bool {
		report := counter.Report() // nil until a packet is counted, which the sender does after it has arrived
		return report != nil && report.Refused == packets
	}
	for deadline := time.Now().Add(patience); !refused(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", counter.Report())
		}
	}
	report := counter.Report()
	if report.Left != 1 || report.Row != packets || report.Last.Errno != "EPERM" || report.Last.To != addressOf(to).String() {
		t.Errorf("%+v, %+v", report, report.Last)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// refuseCalls makes the kernel answer these calls with an error, in all threads of this process, for good.
func refuseCalls(t *testing.T, errno uint32, calls ...uint32) {
	t.Helper()
	statement := func(code uint16, value uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: code, Jt: yes, Jf: no, K: value}
	}
	filter := []unix.SockFilter{statement(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, 0)} // seccomp_data.nr
	for _, call := range calls {
		filter = append(filter,
			statement(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, call, 0, 1),
			statement(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ERRNO|errno, 0, 0))
	}
	filter = append(filter, statement(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ALLOW, 0, 0))
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, err := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != 0 {
		t.Skipf("no filter: %v", err)
	}
	_, _, err := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	if err != 0 {
		t.Skipf("no filter: %v", err)
	}
}
