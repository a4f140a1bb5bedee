// Package connlimit counts the connections of each client, and keeps any one of them, and running out of descriptors, from
// shutting the others out.
package connlimit

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Exempt is the cap of a client that speaks for many, as a proxy does: it gets what is free.
const Exempt = -1

// Counter gives out places. One more is given to a client that holds fewer than are still free: alone it gets half of
// all, two get a third each, and there is always one left for another client. The clients of one IPv6 site together get no
// more than that either. No connection is ended for that.
type Counter struct {
	total int

	mu      sync.Mutex
	held    map[netip.Prefix]int // by client
	sites   map[netip.Prefix]int // by site
	taken   int
	refused int64
	refusal *Refusal
	failure *Failure
}

// Report is what a Counter tells.
type Report struct {
	Open    int      `json:"open"`
	Limit   int      `json:"limit"`
	Refused int64    `json:"refused"` // since the start
	Refusal *Refusal `json:"refusal"` // the last one; of its minute that of the client which held most
	Failure *Failure `json:"failure"` // the last time that the system gave no connection
}

// Refusal is of a client that held as much as it may, or of one for which no place was left.
type Refusal struct {
	At     float64 `json:"at"` // seconds since 1970
	Client string  `json:"client"`
	Held   int     `json:"held"`
	Full   bool    `json:"full"`
}

// Failure is an error of accept(2).
type Failure struct {
	At    float64 `json:"at"` // seconds since 1970
	Error string  `json:"error"`
}

// New makes a Counter of so many places.
func New(total int) *Counter {
	return &Counter{total: total, held: map[netip.Prefix]int{}, sites: map[netip.Prefix]int{}}
}

// ForFiles is how many connections the process's limit of descriptors carries at `each` of them for one, with a share
// kept for all else; at most `most`. Go has raised the soft limit to the hard one by now.
func ForFiles(each, most int) int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return most
	}
	return forFiles(files.Cur, each, most)
}

// reserved descriptors are for certificates, logs, control, media's own sockets, and connections that are being refused.
const reserved = 256

func forFiles(files uint64, each, most int) int {
	if files >= uint64(reserved+each*most) {
		return most
	}
	kept := min(reserved, int(files)/4)
	return max(1, (int(files)-kept)/each)
}

// Enter takes a place for a client that may hold `most`, or says that it gets none. Leave gives it back.
func (c *Counter) Enter(client netip.Prefix, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	held, free := c.held[client], c.total-c.taken
	site, isOfSite := SiteOf(client)
	switch {
	case free <= 0 || most != Exempt && held >= min(most, free):
		c.refuse(client, held, free <= 0)
		return false
	case isOfSite && most != Exempt && c.sites[site] >= free:
		c.refuse(site, c.sites[site], false)
		return false
	}
	c.held[client]++
	if isOfSite {
		c.sites[site]++
	}
	c.taken++
	return true
}

// refuse wants c.mu.
func (c *Counter) refuse(client netip.Prefix, held int, full bool) {
	c.refused++
	now := seconds(time.Now())
	if c.refusal == nil || now-c.refusal.At > 60 || held >= c.refusal.Held {
		c.refusal = &Refusal{now, Name(client), held, full}
	}
}

// Leave gives a place back.
func (c *Counter) Leave(client netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken--
	Release(c.held, client)
	if site, isOfSite := SiteOf(client); isOfSite {
		Release(c.sites, site)
	}
}

// Release counts one less, and forgets what holds none.
func Release(held map[netip.Prefix]int, of netip.Prefix) {
	if held[of]--; held[of] == 0 {
		delete(held, of)
	}
}

// Report tells how it stands.
func (c *Counter) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Report{c.taken, c.total, c.refused, c.refusal, c.failure}
}

// Clients are those that hold a place, for tests.
func (c *Counter) Clients() []netip.Prefix {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.held))
}

// noteFailure says whether there was none for a while.
func (c *Counter) noteFailure(err error) (isNews bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.failure
	c.failure = &Failure{seconds(time.Now()), err.Error()}
	return before == nil || c.failure.At-before.At > quiet.Seconds()
}

// ClientOf is the client that an address counts as: an IPv4 address or an IPv6 /64, what one subscriber is given. What is
// no IP address, which only a test has, counts as one client.
func ClientOf(addr net.Addr) netip.Prefix { return ClientOfIP(ipOf(addr)) }

// ClientOfIP is ClientOf without a port.
func ClientOfIP(ip netip.Addr) netip.Prefix {
	ip = plain(ip)
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, _ := ip.Prefix(bits) // fails for bits that the family doesn't have
	return prefix
}

// siteBits of an IPv6 address are the most that one home or office is given (RFC 6177): 65,536 networks, each of which
// counts as a client.
const siteBits = 48

// SiteOf is the site of a client that is a network of IPv6; an IPv4 address is of none.
func SiteOf(client netip.Prefix) (site netip.Prefix, isOfSite bool) {
	if !client.Addr().Is6() || client.Bits() < siteBits {
		return netip.Prefix{}, false
	}
	site, err := client.Addr().Prefix(siteBits)
	return site, err == nil
}

// ipOf is the address alone; the zero Addr for what is none.
func ipOf(addr net.Addr) netip.Addr {
	port, _ := netip.ParseAddrPort(addr.String())
	return plain(port.Addr())
}

// plain is an address as networks are written: a netip.Prefix contains neither a mapped IPv4 address nor one with a zone.
func plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

// Name is a client as people know it: its address, or the network that it is counted under.
func Name(client netip.Prefix) string {
	if client.IsSingleIP() {
		return client.Addr().String()
	}
	return client.String()
}

func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }
