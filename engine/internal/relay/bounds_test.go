package relay

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v3"
	"github.com/pion/turn/v5"

	"lkhub/engine/internal/roster"
	"lkhub/engine/internal/turntest"
)

// boundsOf returns bounds with a range and a quota, and a clock that the test sets.
func boundsOf(size, quota int) (*Bounds, *time.Time) {
	now := time.Unix(1_800_000_000, 0)
	b := NewBounds(math.MaxUint16)
	b.clock = func() time.Time { return now }
	b.Use(Config{RelayPorts: PortRange{20000, uint16(20000 + size - 1)}, Quota: quota})
	return b, &now
}

func holderAt(participant, address string) holder {
	return newHolder(participant, &net.UDPAddr{IP: net.ParseIP(address), Port: 5000})
}

// takeUpTo takes up to most allocations, and returns how many it got and the error that stopped it.
func (b *Bounds) takeUpTo(most int, h func(i int) holder) (int, error) {
	for i := range most {
		if err := b.admit(h(i)); err != nil {
			return i, err
		}
		if err := b.take(h(i)); err != nil {
			return i, err
		}
	}
	return most, nil
}

// peopleAt returns the holders of one participant after another, each with its quota.
func peopleAt(address, name string, quota int) func(i int) holder {
	return func(i int) holder { return holderAt(fmt.Sprint("PA_", name, i/quota), address) }
}

func TestAnOfficeBehindOneAddressFits(t *testing.T) {
	b, _ := boundsOf(turntest.UsualPorts, turntest.Quota)
	all := officePeople * turntest.Quota
	if n, err := b.takeUpTo(all, peopleAt("203.0.113.7", "first", turntest.Quota)); err != nil {
		t.Fatalf("%d of %d: %v", n, all, err)
	}
	// All lose the connection at once and join again, before any of their first allocations has ended.
	if n, err := b.takeUpTo(all, peopleAt("203.0.113.7", "again", turntest.Quota)); err != nil {
		t.Fatalf("the second time %d of %d: %v", n, all, err)
	}
}

func TestOneAddressLeavesPortsForOthers(t *testing.T) {
	for _, size := range []int{turntest.UsualPorts, 2 * turntest.UsualPorts, 600, 100, 50} {
		b, _ := boundsOf(size, turntest.Quota)
		n, err := b.takeUpTo(size, peopleAt("203.0.113.7", "x", turntest.Quota))
		if !errors.Is(err, errNetwork) || n > (size+1)/2 {
			t.Errorf("of %d ports one address got %d: %v", size, n, err)
		}
		if n, err := b.takeUpTo(turntest.Quota, peopleAt("198.51.100.1", "y", turntest.Quota)); err != nil {
			t.Errorf("of %d ports another participant got %d: %v", size, n, err)
		}
	}
}

// One IPv6 site has thousands of networks.
func TestOneSiteLeavesPortsForOthers(t *testing.T) {
	for _, size := range []int{2 * turntest.UsualPorts, 600, 100} {
		b, _ := boundsOf(size, turntest.Quota)
		networks := func(i int) holder {
			return holderAt(fmt.Sprint("PA_", i/turntest.Quota), fmt.Sprintf("2001:db8:1:%x::1", i/turntest.Quota))
		}
		n, err := b.takeUpTo(size, networks)
		if !errors.Is(err, errNetwork) || n > (size+1)/2 {
			t.Errorf("of %d ports one site got %d: %v", size, n, err)
		}
		if n, err := b.takeUpTo(turntest.Quota, peopleAt("2001:db8:2::1", "y", turntest.Quota)); err != nil {
			t.Errorf("of %d ports another site got %d: %v", size, n, err)
		}
	}
}

func TestTheLastQuarterIsForNewcomers(t *testing.T) {
	b, _ := boundsOf(turntest.UsualPorts, turntest.Quota)
	for i := range 40 {
		_, _ = b.takeUpTo(turntest.UsualPorts, peopleAt(fmt.Sprint("203.0.113.", i), fmt.Sprint(i, "-"), turntest.Quota))
	}
	for i := range 10 {
		if n, err := b.takeUpTo(2*turntest.Quota, peopleAt(fmt.Sprint("198.51.100.", i), fmt.Sprint("n", i, "-"), turntest.Quota)); err != nil {
			t.Errorf("newcomer %d got %d with %d of %d taken: %v", i, n, b.held, b.size, err)
		}
	}
}

func TestSmallRangesServeAParticipant(t *testing.T) {
	for size, alone := range map[int]int{1: 1, 2: 1, 3: 2, 4: 2, 24: 12} {
		b, _ := boundsOf(size, turntest.Quota)
		if n, _ := b.takeUpTo(size, peopleAt("203.0.113.7", "x", 1)); n != alone {
			t.Errorf("of %d ports one address got %d, want %d", size, n, alone)
		}
	}
}

func TestAnAddressIsCountedAsOneHoweverItIsWritten(t *testing.T) {
	one := func(text string) netip.Prefix {
		at := netip.MustParseAddr(text)
		udp := newHolder("PA_x", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 1))).network
		tcp := newHolder("PA_x", net.TCPAddrFromAddrPort(netip.AddrPortFrom(at, 2))).network
		if udp != tcp {
			t.Errorf("%s is %s over UDP and %s over TCP", text, udp, tcp)
		}
		return udp
	}
	for _, same := range [][2]string{
		{"203.0.113.7", "::ffff:203.0.113.7"}, {"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"}, {"fe80::1%lo", "fe80::2"},
	} {
		if one(same[0]) != one(same[1]) {
			t.Errorf("%s and %s are told apart", same[0], same[1])
		}
	}
	for _, different := range [][2]string{{"203.0.113.7", "203.0.113.8"}, {"2001:db8::1", "2001:db8:0:1::1"}} {
		if one(different[0]) == one(different[1]) {
			t.Errorf("%s and %s count together", different[0], different[1])
		}
	}
	h := holderAt("PA_x", "2001:db8::1")
	if got := parseHolder(h.String()); got != h {
		t.Errorf("%q is read as %v", h, got)
	}
	for _, text := range []string{"", "PA_x", "PA_x nowhere"} {
		if got := parseHolder(text); got != (holder{}) {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

// allocateFor opens a relay socket.
func allocateFor(t *testing.T, addresses *addresses, h holder) (*peerConn, error) {
	t.Helper()
	if err := addresses.bounds.admit(h); err != nil {
		return nil, err
	}
	conn, _, err := addresses.AllocatePacketConn(turn.AllocateListenerConfig{Network: "udp4", UserID: h.String()})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*peerConn), nil
}

func mustAllocateFor(t *testing.T, addresses *addresses, h holder) *peerConn {
	t.Helper()
	conn, err := allocateFor(t, addresses, h)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// ownAddress is an address on which no other test binds ports.
const ownAddress = "127.77.13.1"

func testAddresses(t *testing.T, ports PortRange, quota int) (*addresses, *time.Time) {
	t.Helper()
	addresses := newTestAddresses(t, Config{RelayAddress: netip.MustParseAddr(ownAddress), RelayPorts: ports, Quota: quota})
	now := time.Now()
	addresses.bounds.clock = func() time.Time { return now }
	return addresses, &now
}

// A participant that walks from network to network leaves allocations behind, which it does not give back.
func TestAParticipantsUnusedAllocationMakesRoomForAnother(t *testing.T) {
	addresses, now := testAddresses(t, PortRange{21000, 21999}, 3)
	h := holderAt("PA_walks", "127.0.0.1")
	start := *now
	unused := mustAllocateFor(t, addresses, h)
	used := mustAllocateFor(t, addresses, h)
	used.made = unused.made.Add(-time.Second)
	third := mustAllocateFor(t, addresses, h)
	if _, err := allocateFor(t, addresses, h); !errors.Is(err, errQuota) {
		t.Fatalf("one more than the quota, of allocations that are all new: %v", err)
	}
	*now = start.Add(2 * spareAfter)
	used.carried.Store(true)
	third.made = *now
	mustAllocateFor(t, addresses, h)
	if _, err := unused.Write(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the unused allocation goes on: %v", err)
	}
	for name, conn := range map[string]*peerConn{"the used one": used, "the new one": third} {
		if err := conn.SetDeadline(time.Time{}); err != nil {
			t.Errorf("%s was ended: %v", name, err)
		}
	}
	if addresses.bounds.held != 3 {
		t.Errorf("%d are counted", addresses.bounds.held)
	}
}

// freePorts is a range of unused ports.
func freePorts(t *testing.T, size int) PortRange {
	t.Helper()
	for first := 20000; first+size < 32768; first += size {
		var conns []net.PacketConn
		for port := first; port < first+size; port++ {
			if conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(ownAddress), Port: port}); err == nil {
				conns = append(conns, conn)
			}
		}
		for _, conn := range conns {
			conn.Close()
		}
		if len(conns) == size {
			return PortRange{uint16(first), uint16(first + size - 1)}
		}
	}
	t.Fatal("no free ports")
	return PortRange{}
}

func TestEveryPortIsFound(t *testing.T) {
	ports := freePorts(t, 100)
	addresses, _ := testAddresses(t, ports, 1)
	somebodys, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(ownAddress), Port: int(ports.Min) + 50})
	if err != nil {
		t.Fatal(err)
	}
	defer somebodys.Close()
	found := map[int]bool{}
	for i := range 99 {
		conn := mustAllocateFor(t, addresses, holderAt(fmt.Sprint("PA_", i), fmt.Sprint("192.0.2.", i)))
		found[conn.port()] = true
	}
	if len(found) != 99 {
		t.Errorf("%d different ports", len(found))
	}
	if conn, err := allocateFor(t, addresses, holderAt("PA_last", "198.51.100.1")); err == nil {
		t.Errorf("port %d, which another client holds", conn.port())
	}
}

func TestBoundsAreGivenBack(t *testing.T) {
	addresses, _ := testAddresses(t, PortRange{23000, 23999}, 100)
	var conns []*peerConn
	for i := range 20 {
		at := []string{"192.0.2.1", "2001:db8::1"}[i%2]
		conns = append(conns, mustAllocateFor(t, addresses, holderAt(fmt.Sprint("PA_", i%3), at)))
	}
	for _, conn := range conns {
		for range 2 {
			if err := conn.Close(); err != nil { // pion closes a socket twice, and logs an error of the second time
				t.Error(err)
			}
		}
	}
	b := addresses.bounds
	if b.held+len(b.participants)+len(b.networks)+len(b.sites)+len(b.open) > 0 {
		t.Errorf("left: %d, %v, %v, %v, %v", b.held, b.participants, b.networks, b.sites, b.open)
	}
}

// To find an even port, pion opens sockets without a user.
func TestSocketsWithoutAUserAreNotCounted(t *testing.T) {
	r, _ := startRelay(t, turntest.ListenUDP(t).LocalAddr(), 1)
	for i := range 20 {
		credential := turntest.CredentialFor(fmt.Sprint("PA_", i), time.Hour)
		if code := newRawClient(t, r, dialUDP).Ask(stun.MethodAllocate, credential, turntest.RequestUDP, turntest.RequestedEven); code != 0 {
			t.Fatalf("Allocate with an even port: %d", code)
		}
	}
	if got := r.bounds.status()["held"]; got != 20 {
		t.Errorf("%v are counted", got)
	}
}

func TestAnIdentityHasBoundsInAllRoomsTogether(t *testing.T) {
	addresses, _ := testAddresses(t, PortRange{24000, 24999}, 2)
	b := addresses.bounds
	said := roster.Presence{In: map[string]string{}}
	var conns []*peerConn
	join := func(room int) {
		participant := fmt.Sprint("PA_", room)
		said.In[participant] = "busy"
		b.clock = func() time.Time { return time.Now().Add(time.Duration(room) * time.Second) }
		for range 2 {
			conns = append(conns, mustAllocateFor(t, addresses, holderAt(participant, "192.0.2.1")))
		}
	}
	for room := range identityQuotas {
		join(room)
	}
	judge := func() []*peerConn {
		var asked []string
		for participant := range said.In {
			asked = append(asked, participant)
		}
		return b.judge(asked, said)
	}
	if ending := judge(); len(ending) > 0 {
		t.Fatalf("%d end within the bounds", len(ending))
	}
	for room := identityQuotas; room < identityQuotas+2; room++ {
		join(room)
	}
	calling := conns[len(conns)-1]
	calling.carried.Store(true)
	ending := judge()
	if len(ending) != 4 || slices.Contains(ending, calling) {
		t.Errorf("%d end, of four that are too many", len(ending))
	}
	for _, conn := range conns[len(conns)-4 : len(conns)-1] {
		if !slices.Contains(ending, conn) {
			t.Error("one of the newest goes on")
		}
	}
	for _, conn := range ending {
		conn.Close()
	}
	conns[0].Close()
	if _, err := allocateFor(t, addresses, holderAt("PA_1", "192.0.2.1")); !errors.Is(err, errQuota) {
		t.Errorf("one more of the participant: %v", err)
	}
	mustAllocateFor(t, addresses, holderAt("PA_0", "192.0.2.1"))
	if _, err := allocateFor(t, addresses, holderAt(calling.holder.participant, "192.0.2.1")); !errors.Is(err, errIdentity) {
		t.Errorf("one more of the identity: %v", err)
	}
	if _, err := allocateFor(t, addresses, holderAt("PA_somebody", "192.0.2.1")); err != nil {
		t.Errorf("another client at the same address: %v", err)
	}
}

func TestTheStatusTellsHowFullTheRangeIs(t *testing.T) {
	b, _ := boundsOf(100, 12)
	_, _ = b.takeUpTo(60, peopleAt("203.0.113.7", "x", 12))
	_, _ = b.takeUpTo(5, peopleAt("2001:db8::1", "y", 12))
	got := b.status()
	if got["size"] != 100 || got["held"] != 55 || got["asked"] != nil {
		t.Errorf("%v", got)
	}
	if most := got["most"].(map[string]any); most["address"] != "203.0.113.7" || most["held"] != 50 {
		t.Errorf("%v", most)
	}
	if refused := got["refused"].(map[string]refusal); refused["address"].Count != 1 || len(refused) != 1 {
		t.Errorf("%v", refused)
	}
}

func TestARangeIsNoLargerThanThereAreDescriptors(t *testing.T) {
	b := NewBounds(100)
	b.Use(Config{RelayPorts: PortRange{20000, 24999}, Quota: 12})
	if n, err := b.takeUpTo(200, func(i int) holder { return holderAt(fmt.Sprint("PA_", i), fmt.Sprint("192.0.2.", i)) }); n != 100 || !errors.Is(err, errFull) {
		t.Errorf("%d allocations: %v", n, err)
	}
	if status := b.status(); status["size"] != 100 || status["range"] != 5000 {
		t.Errorf("%v", status)
	}
}
