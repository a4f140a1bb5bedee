// Package connlimit counts the connections of each client. It keeps one client, or a lack of descriptors, from shutting
// out the other clients.
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

// Exempt is the cap of a client that stands for many others, such as a proxy: it may take whatever is free.
const Exempt = -1

// Counter has a number of places for connections. A client gets another place if it holds fewer than are still free. So
// a single client gets half of all places, two clients get a third each, and one place is always left for another
// client. The clients of one IPv6 site together get no more than one client does. No connection is ended to make room.
type Counter struct {
	total int

	mu      sync.Mutex
	held    map[netip.Prefix]int // places held by each client
	sites   map[netip.Prefix]int // places held by each IPv6 site
	taken   int
	refused int64
	refusal *Refusal
	failure *Failure
}

// Report is the state of a Counter.
type Report struct {
	Open    int      `json:"open"`
	Limit   int      `json:"limit"`
	Refused int64    `json:"refused"` // since the start
	Refusal *Refusal `json:"refusal"` // the last refusal; within the same minute, the refusal of the client that held the most
	Failure *Failure `json:"failure"` // the last time that the system could not accept a connection
}

// Refusal is one refused connection: the client held as many as it may, or no place was left.
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

// New makes a Counter with this many places.
func New(total int) *Counter {
	return &Counter{total: total, held: map[netip.Prefix]int{}, sites: map[netip.Prefix]int{}}
}

// ForFiles is how many connections the process's limit of descriptors allows, if each takes `each` descriptors: at most
// `most`. Some descriptors are kept for all else. Go has already raised the soft limit to the hard one.
func ForFiles(each, most int) int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return most
	}
	return forFiles(files.Cur, each, most)
}

// reserved is the number of descriptors for certificates, logs, the control socket, media's own sockets, and
// connections that are being refused.
const reserved = 256

func forFiles(files uint64, each, most int) int {
	if files >= uint64(reserved+each*most) {
		return most
	}
	kept := min(reserved, int(files)/4)
	return max(1, (int(files)-kept)/each)
}

// Enter takes a place for a client that may hold `most`, or returns false. Leave gives the place back.
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

// refuse needs c.mu.
func (c *Counter) refuse(client netip.Prefix, held int, full bool) {
	c.refused++
	now := seconds(time.Now())
	if c.refusal == nil || now-c.refusal.At > 60 || held >= c.refusal.Held {
		c.refusal = &Refusal{now, Name(client), held, full}
	}
}

// Leave gives one place back.
func (c *Counter) Leave(client netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken--
	Release(c.held, client)
	if site, isOfSite := SiteOf(client); isOfSite {
		Release(c.sites, site)
	}
}

// Release lowers a count by one, and deletes it at zero.
func Release(held map[netip.Prefix]int, of netip.Prefix) {
	if held[of]--; held[of] == 0 {
		delete(held, of)
	}
}

// Report returns the present state.
func (c *Counter) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Report{c.taken, c.total, c.refused, c.refusal, c.failure}
}

// Clients returns the clients that hold places, for tests.
func (c *Counter) Clients() []netip.Prefix {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.held))
}

// noteFailure says whether this is the first failure for a while.
func (c *Counter) noteFailure(err error) (isNews bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.failure
	c.failure = &Failure{seconds(time.Now()), err.Error()}
	return before == nil || c.failure.At-before.At > quiet.Seconds()
}

// ClientOf is the client that an address counts as: an IPv4 address, or an IPv6 /64, which is what one subscriber is
// given. All addresses that are not IP addresses, which only tests have, count as one client.
func ClientOf(addr net.Addr) netip.Prefix { return ClientOfIP(ipOf(addr)) }

// ClientOfIP is ClientOf for an address without a port.
func ClientOfIP(ip netip.Addr) netip.Prefix {
	ip = plain(ip)
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, _ := ip.Prefix(bits) // fails for bits that the family doesn't have
	return prefix
}

// siteBits is the prefix length of the largest network that one home or office is given (RFC 6177). It has 65,536
// networks, each of which counts as a client.
const siteBits = 48

// SiteOf is the site of an IPv6 client. An IPv4 address has no site.
func SiteOf(client netip.Prefix) (site netip.Prefix, isOfSite bool) {
	if !client.Addr().Is6() || client.Bits() < siteBits {
		return netip.Prefix{}, false
	}
	site, err := client.Addr().Prefix(siteBits)
	return site, err == nil
}

// ipOf is the IP address of addr, or the zero Addr if addr has none.
func ipOf(addr net.Addr) netip.Addr {
	port, _ := netip.ParseAddrPort(addr.String())
	return plain(port.Addr())
}

// plain is the address without a zone, and IPv4 if it was mapped: a netip.Prefix contains no other form.
func plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

// Name is a client as people know it: its address, or the network that it is counted under.
func Name(client netip.Prefix) string {
	if client.IsSingleIP() {
		return client.Addr().String()
	}
	return client.String()
}

func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }
