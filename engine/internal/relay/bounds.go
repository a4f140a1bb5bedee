package relay

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"lkhub/engine/internal/connlimit"
	"lkhub/engine/internal/recent"
	"lkhub/engine/internal/roster"
)

const (
	// officePeople may all be behind one NAT, each with a quota of their own.
	officePeople = 50

	// identityQuotas is how many participants' quotas one identity has in all rooms together. In one room there is never
	// more than one participant of an identity.
	identityQuotas = 8

	// lastShare of the relay ports, one in so many, goes to participants and addresses that hold next to none.
	lastShare = 4

	// An allocation is spare when it is older than any gathering of candidates, and has carried nothing for as long.
	spareAfter = 30 * time.Second

	// A call sends something every few seconds, so one whose allocation has carried nothing for so long is over.
	callOverAfter = 10 * time.Minute
)

// Why an allocation is not made.
var (
	errGone     = errors.New("the participant has left")
	errQuota    = errors.New("the participant has its quota of allocations")
	errIdentity = errors.New("the identity has its share of allocations")
	errNetwork  = errors.New("the address has its share of the relay ports")
	errFull     = errors.New("every relay port is taken")
)

// holder is the participant and the address that an allocation is for: what pion calls the user.
type holder struct {
	participant string
	network     netip.Prefix // an IPv4 address, or an IPv6 /64
}

func newHolder(participant string, client net.Addr) holder {
	return holder{participant, connlimit.ClientOf(client)}
}

func (h holder) String() string { return h.participant + " " + h.network.String() }

// parseHolder returns the zero holder for what String has not made.
func parseHolder(user string) holder {
	participant, text, _ := strings.Cut(user, " ")
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return holder{}
	}
	return holder{participant, network}
}

// Bounds know which participant holds which relay ports, and say which may have one more. A process has one of
// them, for all the relays that come and go in it.
type Bounds struct {
	clock func() time.Time
	most  int           // of allocations, whatever the range: each has a descriptor
	woken chan struct{} // a participant has come

	mu           sync.Mutex
	size         int // relay ports, or as many of them as can be used
	ports        int // of the range
	quota        int // allocations of one participant
	roster       *roster.Client
	held         int
	open         map[int]*peerConn // by port
	participants map[string]*participant
	networks     map[netip.Prefix]int
	sites        map[netip.Prefix]int // of IPv6: what may be one home's or office's
	gone         recent.Set[string]   // participants that have left
	refused      map[error]refusal
	asked        time.Time // when the roster last answered
}

// participant is one that holds relay ports.
type participant struct {
	held     int
	conns    map[*peerConn]struct{}
	since    time.Time
	in       bool // media has said so, and nothing else since
	identity string
	unknown  time.Time // since when media says that it doesn't know the participant
}

// refusal is how often something was refused, and when and to which address last.
type refusal struct {
	Count   int     `json:"count"`
	At      float64 `json:"at"` // seconds since 1970
	Address string  `json:"address,omitempty"`
}

// NewBounds are for as many allocations at most.
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

// Use makes the bounds those of a relay with this configuration.
func (b *Bounds) Use(config Config) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ports = int(config.RelayPorts.Max-config.RelayPorts.Min) + 1
	b.size = min(b.ports, b.most)
	b.quota = config.Quota
	if b.roster == nil || b.roster.Socket != config.MediaControl {
		b.roster = roster.NewClient(config.MediaControl)
	}
}

// admit says whether a holder may have one more allocation. A participant that has its quota gets another for the one
// that it has used the least lately: after each change of network it has some that it can't give back any more.
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

// take counts an allocation that is about to be made; giveBack is for when it has ended, or was not made.
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

// check is called under the lock.
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

// networkShare is how many relay ports one address may hold, or all those of one IPv6 site. An office of fifty is never
// turned away for its address while there is room; one address alone gets no more than half of what is left; and the last
// quarter of the ports is for those who hold next to none.
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

// freePort returns one that is not taken and was not tried in vain, looking onwards from start.
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
	// The port may be another socket's by now.
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

// outlives says whether what a participant holds goes on after its credential has expired: for as long as it is in, or
// in a call as far as can be seen where media does not say. A new allocation wants the former.
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

// spare is the allocation that a participant can do without the best, if any.
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

// status tells how much of the range is taken, who holds the most of it, and what was refused.
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
