package relay

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"lkhub/engine/internal/connlimit"
	"lkhub/engine/internal/recent"
	"lkhub/engine/internal/roster"
)

const (
	// officePeople is how many people behind one NAT have a full quota each.
	officePeople = 50

	// identityQuotas is how many quotas one identity may use in all rooms together. One room never has more than one
	// participant with the same identity.
	identityQuotas = 8

	// lastShare is the part of the relay ports, 1/lastShare, that is kept for participants and addresses that hold
	// almost none.
	lastShare = 4

	// An allocation is spare when it is older than any gathering of candidates, and has carried nothing for as long.
	spareAfter = 30 * time.Second

	// A call sends something every few seconds. If the allocation has carried nothing for this long, the call is over.
	callOverAfter = 10 * time.Minute
)

// The reasons for which an allocation is refused.
var (
	errGone     = errors.New("the participant has left")
	errQuota    = errors.New("the participant has its quota of allocations")
	errIdentity = errors.New("the identity has its share of allocations")
	errNetwork  = errors.New("the address has its share of the relay ports")
	errFull     = errors.New("every relay port is taken")
)

// holder is the participant and the address that an allocation is for. pion calls it the user.
type holder struct {
	participant string
	network     netip.Prefix // an IPv4 address, or an IPv6 /64
}

func newHolder(participant string, client net.Addr) holder {
	return holder{participant, connlimit.ClientOf(client)}
}

func (h holder) String() string { return h.participant + " " + h.network.String() }

// parseHolder returns the zero holder for a text that String did not make.
func parseHolder(user string) holder {
	participant, text, _ := strings.Cut(user, " ")
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return holder{}
	}
	return holder{participant, network}
}

// Bounds knows which participant holds which relay ports, and decides which may have more. A process has one
// Bounds for all its relays, the former and the present.
type Bounds struct {
	clock func() time.Time
	most  int           // allocations, whatever the range is: each needs a descriptor
	woken chan struct{} // receives when a participant has come

	mu           sync.Mutex
	size         int // usable relay ports: those of the range, or fewer
	ports        int // ports of the range
	quota        int // allocations that one participant may have
	roster       *roster.Client
	held         int
	open         map[int]*peerConn // by port
	participants map[string]*participant
	networks     map[netip.Prefix]int
	sites        map[netip.Prefix]int // IPv6 prefixes that one home or office may have
	gone         recent.Set[string]   // participants that have left
	refused      map[error]refusal
	asked        time.Time // when the roster last answered
}

// participant is a participant that holds relay ports.
type participant struct {
	held     int
	conns    map[*peerConn]struct{}
	since    time.Time
	in       bool // media has said that it is in, and nothing else since
	identity string
	unknown  time.Time // since when media says that it doesn't know the participant
}

// refusal is how often one reason applied, and when and for which address it last did.
type refusal struct {
	Count   int     `json:"count"`
	At      float64 `json:"at"` // seconds since 1970
	Address string  `json:"address,omitempty"`
}

// NewBounds allows at most this many allocations.
func NewBounds(most int) *Bounds {
	return &Bounds{
		clock:        time.Now,
		most:         most,
		woken:        make(chan struct{}, 1),
		open:         map[int]*peerConn{},
		participants: map[string]*participant{},
		networks:     map[netip.Prefix]int{},
		sites:        map[netip.Prefix]int{},
		gone:         recent.New[string](recent.Most, recent.Kept),
		refused:      map[error]refusal{},
	}
}

// Use applies the range and the quota of a relay's configuration.
func (b *Bounds) Use(config Config) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ports = int(config.RelayPorts.Max-config.RelayPorts.Min) + 1
	b.size = min(b.ports, b.most)
	b.quota = config.Quota
	if b.roster == nil || !slices.Equal(b.roster.Sockets, config.MediaControl) {
		b.roster = roster.NewClient(config.MediaControl)
	}
}

// admit says whether a holder may have one more allocation. A participant with a full quota gets another in place of
// its least recently used one: after each change of network it has some that it can't give back any more.
func (b *Bounds) admit(h holder) error {
	b.mu.Lock()
	var spare *peerConn
	if p := b.participants[h.participant]; p != nil && p.held >= b.quota {
		spare = p.spare(b.clock())
	}
	err := b.check(h, spare != nil)
	b.mu.Unlock()
	if err == nil && spare != nil {
		_ = spare.Close()
	}
	return err
}

// take counts an allocation that is about to be made. giveBack follows when it has ended or was not made.
func (b *Bounds) take(h holder) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.check(h, false); err != nil {
		return err
	}
	p := b.participants[h.participant]
	if p == nil {
		p = &participant{conns: map[*peerConn]struct{}{}, since: b.clock()}
		b.participants[h.participant] = p
		select {
		case b.woken <- struct{}{}:
		default:
		}
	}
	p.held++
	b.networks[h.network]++
	if site, isOfSite := connlimit.SiteOf(h.network); isOfSite {
		b.sites[site]++
	}
	b.held++
	return nil
}

func (b *Bounds) giveBack(h holder) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held--
	connlimit.Release(b.networks, h.network)
	if site, isOfSite := connlimit.SiteOf(h.network); isOfSite {
		connlimit.Release(b.sites, site)
	}
	if p := b.participants[h.participant]; p != nil {
		if p.held--; p.held == 0 {
			delete(b.participants, h.participant)
		}
	}
}

// check needs the lock.
func (b *Bounds) check(h holder, replaces bool) error {
	err := b.reason(h, replaces)
	if err != nil {
		b.refused[err] = refusal{b.refused[err].Count + 1, float64(b.clock().UnixMilli()) / 1000, connlimit.Name(h.network)}
	}
	return err
}

func (b *Bounds) reason(h holder, replaces bool) error {
	p := b.participants[h.participant]
	site, isOfSite := connlimit.SiteOf(h.network)
	share := networkShare(b.size, b.size-b.held, b.quota)
	switch {
	case b.gone.Has(h.participant):
		return errGone
	case replaces:
		return nil
	case p != nil && p.held >= b.quota:
		return errQuota
	case p != nil && p.identity != "" && b.heldBy(p.identity) >= identityQuotas*b.quota:
		return errIdentity
	case b.held >= b.size:
		return errFull
	case b.networks[h.network] >= share || isOfSite && b.sites[site] >= share:
		return errNetwork
	}
	return nil
}

// networkShare is how many relay ports one address or one IPv6 site may hold. An office of fifty people is never
// refused because of its address while there is room. A single address gets at most half of what is left. The last
// quarter of the ports is for participants and addresses that hold almost none.
func networkShare(size, free, quota int) int {
	office := min(officePeople*quota, (size+1)/2)
	if free > size/lastShare {
		return max(office, free/2)
	}
	return min(office, 2*quota)
}

func (b *Bounds) heldBy(identity string) int {
	held := 0
	for _, p := range b.participants {
		if p.identity == identity {
			held += p.held
		}
	}
	return held
}

// freePort returns a port that is neither taken nor tried before. It searches upwards from start.
func (b *Bounds) freePort(ports PortRange, start int, tried map[int]bool) (int, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	size := int(ports.Max-ports.Min) + 1
	for i := range size {
		port := int(ports.Min) + (start+i)%size
		if b.open[port] == nil && !tried[port] {
			return port, true
		}
	}
	return 0, false
}

func (b *Bounds) opened(conn *peerConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[conn.port()] = conn
	if p := b.participants[conn.holder.participant]; p != nil {
		p.conns[conn] = struct{}{}
	}
}

func (b *Bounds) closed(conn *peerConn) {
	b.mu.Lock()
	// By now the port may belong to another socket.
	if b.open[conn.port()] == conn {
		delete(b.open, conn.port())
	}
	if p := b.participants[conn.holder.participant]; p != nil {
		delete(p.conns, conn)
	}
	b.mu.Unlock()
	if conn.holder.participant != "" {
		b.giveBack(conn.holder)
	}
}

// outlives says whether a participant's allocations go on after its credential has expired. They do while media says
// that it is in. Where media doesn't say, they do while they carry a call; that is not enough for a new allocation.
func (b *Bounds) outlives(participant string, allocates bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.participants[participant]
	if p == nil || p.in || allocates {
		return p != nil && p.in
	}
	for conn := range p.conns {
		if at := conn.lastCarried(b.clock()); !at.IsZero() && b.clock().Sub(at) < callOverAfter {
			return true
		}
	}
	return false
}

// spare is the allocation that a participant needs least, or nil.
func (p *participant) spare(now time.Time) *peerConn {
	var spare *peerConn
	var since time.Time
	for conn := range p.conns {
		at := conn.made
		if carried := conn.lastCarried(now); carried.After(at) {
			at = carried
		}
		if now.Sub(at) >= spareAfter && (spare == nil || at.Before(since)) {
			spare, since = conn, at
		}
	}
	return spare
}

// status tells how much of the range is taken, which participant and address hold the most, and what was refused.
func (b *Bounds) status() map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	var most map[string]any
	largest := 0
	for network, held := range b.networks {
		if held > largest {
			largest, most = held, map[string]any{"address": connlimit.Name(network), "held": held}
		}
	}
	refused := map[string]refusal{}
	for reason, name := range map[error]string{errGone: "left", errQuota: "quota", errIdentity: "identity", errNetwork: "address", errFull: "full"} {
		if b.refused[reason].Count > 0 {
			refused[name] = b.refused[reason]
		}
	}
	status := map[string]any{"size": b.size, "range": b.ports, "held": b.held, "most": most, "refused": refused, "asked": nil}
	if !b.asked.IsZero() {
		status["asked"] = float64(b.asked.UnixMilli()) / 1000
	}
	return status
}
