package connlimit

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

func client(i int) netip.Prefix {
	return ClientOfIP(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
}

// fill calls Enter until the counter refuses the client.
func fill(c *Counter, client netip.Prefix, most int) (got int) {
	for c.Enter(client, most) {
		got++
	}
	return got
}

func TestOneClientLeavesAsMuchAsItTakes(t *testing.T) {
	for _, total := range []int{1, 2, 24, 896, 32768} {
		c := New(total)
		if got := fill(c, client(1), total); got != (total+1)/2 {
			t.Errorf("of %d one alone got %d", total, got)
		}
		for i := 2; i < 10 && total > 100; i++ {
			if got := fill(c, client(i), total); got < total/(1<<i) {
				t.Errorf("of %d the one after %d others got %d", total, i-1, got)
			}
		}
	}
}

// One IPv6 site has thousands of networks, and each of them is a client.
func TestOneSiteGetsHalfHoweverManyNetworksItHas(t *testing.T) {
	network := func(site, number int) netip.Prefix {
		return ClientOfIP(netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::1", site, number)))
	}
	c := New(896)
	got := 0
	for number := range 256 {
		got += fill(c, network(1, number), 100)
	}
	if got != 448 {
		t.Errorf("one site got %d of 896", got)
	}
	if refusal := c.Report().Refusal; refusal.Client != "2001:db8:1::/48" || refusal.Held != 448 || refusal.Full {
		t.Errorf("%+v", refusal)
	}
	if got := fill(c, network(2, 0), 896); got != 224 {
		t.Errorf("another site got %d", got)
	}
	if got := fill(c, client(1), 896); got != 112 {
		t.Errorf("an IPv4 address got %d", got)
	}
	if got := fill(c, network(1, 7), Exempt); got != 112 {
		t.Errorf("a proxy of a site that has its share got %d", got)
	}
	for _, held := range c.Clients() {
		for c.held[held] > 0 {
			c.Leave(held)
		}
	}
	if c.taken+len(c.held)+len(c.sites) > 0 {
		t.Errorf("left: %d, %v, %v", c.taken, c.held, c.sites)
	}
}

// 50 people behind one router, each with two connections on each of two interfaces. The limit of descriptors is the
// smallest above 1,024 that systems come with.
func TestAnOfficeFits(t *testing.T) {
	c := New(forFiles(2048, 2, 32768))
	if got := fill(c, client(1), 1000); got < 50*2*2 {
		t.Errorf("%d", got)
	}
}

func TestCapsOfAClient(t *testing.T) {
	c := New(1000)
	if got := fill(c, client(1), 3); got != 3 {
		t.Errorf("%d, want 3", got)
	}
	if got := fill(c, client(2), Exempt); got != 997 {
		t.Errorf("a proxy got %d of what was free", got)
	}
	if c.Enter(client(3), 3) {
		t.Error("more than there are")
	}
	report := c.Report()
	if report.Open != 1000 || report.Limit != 1000 || report.Refused != 3 || report.Refusal.Client != "192.0.2.2" || report.Refusal.Held != 997 {
		t.Errorf("%+v, %+v", report, report.Refusal)
	}
	for range 997 {
		c.Leave(client(2))
	}
	if c.Enter(client(1), 3) || !c.Enter(client(3), 3) || len(c.Clients()) != 2 {
		t.Errorf("%v", c.Clients())
	}
}

func TestForFiles(t *testing.T) {
	for _, c := range []struct {
		files      uint64
		each, most int
		want       int
	}{
		{64, 2, 32768, 24}, {300, 2, 32768, 112}, {1024, 2, 32768, 384}, {2048, 2, 32768, 896},
		{1 << 20, 2, 32768, 32768}, {math.MaxUint64, 2, 32768, 32768}, {0, 2, 32768, 1},
	} {
		if got := forFiles(c.files, c.each, c.most); got != c.want {
			t.Errorf("%d descriptors: %d, want %d", c.files, got, c.want)
		}
	}
}

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

func TestClientsAreCountedByAddressOrNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:1000":                 "192.0.2.1/32",
		"[::ffff:192.0.2.1]:1000":        "192.0.2.1/32",
		"[2001:db8:1:2:3:4:5:6]:1000":    "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:1":       "2001:db8:1:2::/64",
		"[2001:db8:1:3::1]:1":            "2001:db8:1:3::/64",
		"[fe80::1:2:3:4%eth0]:1":         "fe80::/64",
		"not an address, but of a test:": "invalid Prefix",
	} {
		if got := ClientOf(address(addr)); got.String() != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func TestAClientIsNamedByItsAddressOrNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:1000":      "192.0.2.1",
		"[2001:db8:1:2::3]:1": "2001:db8:1:2::/64",
	} {
		if got := Name(ClientOf(address(addr))); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

// from is a connection from this address.
type from struct {
	net.Conn
	addr address
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// arriving accepts these connections, and is closed after the last.
type arriving struct {
	net.Listener
	conns []net.Conn
}

func (a *arriving) Accept() (net.Conn, error) {
	if len(a.conns) == 0 {
		return nil, net.ErrClosed
	}
	conn := a.conns[0]
	a.conns = a.conns[1:]
	return conn, nil
}

// Most is called with the client's own address, by which a proxy is named, and not with the network that the client is
// counted under: a neighbour of the proxy in that network is another client.
func TestMostIsAskedByTheAddressItself(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:1000":              "192.0.2.1",
		"[::ffff:192.0.2.1]:1000":     "192.0.2.1",
		"[::1]:1000":                  "::1",
		"[2001:db8:1:2:3:4:5:6]:1000": "2001:db8:1:2:3:4:5:6",
		"[fe80::1:2:3:4%eth0]:1":      "fe80::1:2:3:4",
		"not an address, but a test":  "invalid IP",
	} {
		ours, theirs := net.Pipe()
		theirs.Close()
		var asked []string
		l := &Listener{
			Listener: &arriving{conns: []net.Conn{from{ours, address(addr)}}}, Counter: New(2),
			Most: func(ip netip.Addr) int { asked = append(asked, ip.String()); return 1 },
		}
		conn, err := l.Accept()
		if err != nil || len(asked) != 1 || asked[0] != want {
			t.Errorf("%s: asked for %q, want %s: %v", addr, asked, want, err)
			continue
		}
		conn.Close()
	}
}

// failing returns errors before each connection.
type failing struct {
	net.Listener
	errs []error
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, err
	}
	return f.Listener.Accept()
}

func TestAcceptSurvivesWhateverTheSystemSays(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	errs := []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ECONNABORTED, syscall.EPERM, errors.New("odd")}
	var heard []error
	l := &Listener{
		Listener: &failing{inner, errs}, Counter: New(2), Most: func(netip.Addr) int { return 1 },
		Failed: func(err error) { heard = append(heard, err) },
	}
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	dial()
	first, err := l.Accept()
	if err != nil || len(heard) != 1 || l.Counter.Report().Failure.Error != "odd" {
		t.Fatalf("%v after %v", err, heard)
	}
	refused := dial()
	var last error
	var wg sync.WaitGroup
	wg.Go(func() { _, last = l.Accept() })
	_ = refused.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := refused.Read(make([]byte, 1)); err == nil || errors.Is(err, syscall.EAGAIN) {
		t.Errorf("the second is not refused: %v", err)
	}
	for range 2 { // pion closes some connections twice
		_ = first.Close()
	}
	if open := l.Counter.Report().Open; open != 0 {
		t.Errorf("%d open", open)
	}
	_ = l.Close()
	wg.Wait()
	if !errors.Is(last, net.ErrClosed) {
		t.Errorf("%v", last)
	}
}
