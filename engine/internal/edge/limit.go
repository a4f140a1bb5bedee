package edge

import (
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/mholt/caddy-l4/layer4"
)

func init() { caddy.RegisterModule(new(Limit)) }

// Limit is the handler `layer4.handlers.lkhub_limit`: it caps the open connections of one client, which is an IPv4
// address or an IPv6 /64, what one subscriber is given. One more is closed at once.
type Limit struct {
	PerAddress int `json:"per_address"`
}

// CaddyModule tells Caddy the module's name.
func (*Limit) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "layer4.handlers.lkhub_limit", New: func() caddy.Module { return new(Limit) }}
}

// Validate refuses a cap that would let nobody in.
func (l *Limit) Validate() error {
	if l.PerAddress < 1 {
		return errors.New("lkhub_limit: per_address must be at least 1")
	}
	return nil
}

// Handle counts the connection for as long as it is open.
func (l *Limit) Handle(cx *layer4.Connection, next layer4.Handler) error {
	client := clientOf(cx.RemoteAddr())
	if !perClient.enter(client, l.PerAddress) {
		refused.Add(1)
		return nil
	}
	defer perClient.leave(client)
	return next.Handle(cx)
}

// perClient is not a field of Limit: connections outlive the configuration that they came in under.
var perClient = &occupancy{open: map[netip.Prefix]int{}}

// occupancy counts the open connections of each client.
type occupancy struct {
	mu   sync.Mutex
	open map[netip.Prefix]int
}

func (o *occupancy) enter(client netip.Prefix, limit int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open[client] >= limit {
		return false
	}
	o.open[client]++
	return true
}

func (o *occupancy) leave(client netip.Prefix) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open[client]--; o.open[client] == 0 {
		delete(o.open, client)
	}
}

// clientOf is whom an address is counted under. What is no IP address, which only a test has, counts as one client.
func clientOf(addr net.Addr) netip.Prefix {
	port, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := port.Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, _ := ip.Prefix(bits) // fails for bits that the family doesn't have
	return prefix
}

var (
	_ caddy.Validator    = (*Limit)(nil)
	_ layer4.NextHandler = (*Limit)(nil)
)
