package relay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/turn/v5"

	"lkhub/engine/internal/udpread"
)

// addresses opens the sockets of allocations. Each is on the relay address and within the relay ports, and exchanges
// packets with the peers only.
type addresses struct {
	turn.RelayAddressGeneratorPortRange
	peers     Peers
	translate Translations
	bounds    *Bounds
	clients   *clients
}

// portTries is how many ports are tried for an allocation, since other programs of the machine may use some of them.
const portTries = 50

var (
	errNoTCP    = errors.New("this relay has no TCP allocations")
	errNotAPeer = errors.New("not a peer of this relay")
)

func newAddresses(config Config, bounds *Bounds) *addresses {
	return &addresses{
		RelayAddressGeneratorPortRange: turn.RelayAddressGeneratorPortRange{
			RelayAddress: config.RelayAddress.AsSlice(),
			Address:      config.RelayAddress.String(),
			MinPort:      config.RelayPorts.Min,
			MaxPort:      config.RelayPorts.Max,
		},
		peers:     config.Peers,
		translate: config.Translate,
		bounds:    bounds,
		clients:   newClients(config),
	}
}

func (a *addresses) permit(_ net.Addr, peer net.IP) bool { return a.peers.allowIP(peer) }

func (a *addresses) AllocatePacketConn(want turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	// A client names a port only through EVEN-PORT: the reservation is for the port after it.
	if want.RequestedPort != 0 && (want.RequestedPort < int(a.MinPort) || want.RequestedPort > int(a.MaxPort)) {
		return nil, nil, fmt.Errorf("port %d is not a relay port", want.RequestedPort)
	}
	// To find an even port, pion opens a socket without a user and closes it at once.
	h := parseHolder(want.UserID)
	if h != (holder{}) {
		if err := a.bounds.take(h); err != nil {
			return nil, nil, err
		}
	}
	conn, address, err := a.open(want)
	if err != nil {
		if h != (holder{}) {
			a.bounds.giveBack(h)
		}
		return nil, nil, err
	}
	opened := &peerConn{
		UDPConn: conn.(*net.UDPConn), peers: a.peers, addresses: newPeerAddresses(a.peers, a.translate), holder: h, made: time.Now(),
	}
	opened.note = func() bool { return a.clients.note(opened) }
	opened.close = sync.OnceValue(func() error {
		defer a.clients.closed(opened)
		defer a.bounds.closed(opened)
		return opened.UDPConn.Close()
	})
	a.clients.opened(opened)
	a.bounds.opened(opened)
	return opened, address, nil
}

// open binds a relay port: the wanted one, or a free one. pion itself tries ports at random, so an Allocate would
// sometimes fail long before the last port is taken.
func (a *addresses) open(want turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	if want.RequestedPort != 0 {
		return a.RelayAddressGeneratorPortRange.AllocatePacketConn(want)
	}
	ports := PortRange{a.MinPort, a.MaxPort}
	err, tried := errFull, map[int]bool{}
	for range portTries {
		port, ok := a.bounds.freePort(ports, rand.IntN(int(ports.Max-ports.Min)+1), tried)
		if !ok {
			break
		}
		tried[port] = true
		want.RequestedPort = port
		conn, address, failed := a.RelayAddressGeneratorPortRange.AllocatePacketConn(want)
		if failed == nil {
			return conn, address, nil
		}
		err = failed
	}
	return nil, nil, err
}

// With TCP allocations (RFC 6062) a relay would be a proxy to every TCP service at a peer's address, whatever the
// permissions are.
func (a *addresses) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errNoTCP
}

func (a *addresses) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) {
	return nil, errNoTCP
}

// peerConn is the relay socket of one allocation. A permission opens all ports of an address; peerConn lets through
// only the ports of the peers. pion sees the peers at the addresses that clients name.
type peerConn struct {
	*net.UDPConn
	peers     Peers
	addresses peerAddresses
	holder    holder
	made      time.Time
	close     func() error
	note      func() bool // relayClients looks at carried

	from *net.UDPAddr // source of the last packet, since most packets come from one peer

	client  net.Addr     // guarded by relayClients
	carried atomic.Bool  // the client has sent packets to media since relayClients last looked
	noted   atomic.Int64 // when packets were last found to have been carried; 0: never
}

func (c *peerConn) port() int { return c.LocalAddr().(*net.UDPAddr).Port }

// ReadFrom has one caller: pion's loop for the allocation.
func (c *peerConn) ReadFrom(buffer []byte) (int, net.Addr, error) {
	for {
		n, at, err := c.ReadFromUDPAddrPort(buffer)
		if err != nil && udpread.Again(err) {
			continue
		}
		if err != nil {
			return n, nil, err
		}
		at = netip.AddrPortFrom(c.addresses.name(at.Addr().Unmap()), at.Port())
		if !c.peers.allow(at) {
			continue
		}
		if c.from == nil || c.from.AddrPort() != at {
			c.from = net.UDPAddrFromAddrPort(at)
		}
		return n, c.from, nil
	}
}

func (c *peerConn) WriteTo(packet []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, errNotAPeer
	}
	at := udp.AddrPort()
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if !c.peers.allow(at) {
		return 0, errNotAPeer
	}
	if !c.carried.Load() && isMedia(packet) {
		c.carried.Store(true)
	}
	return c.WriteToUDPAddrPort(packet, netip.AddrPortFrom(c.addresses.reach(at.Addr()), at.Port()))
}

// lastCarried is when the client last sent media, as exact as the time between two looks. It is the zero time if the
// client never did.
func (c *peerConn) lastCarried(now time.Time) time.Time {
	if c.note() {
		c.noted.Store(now.UnixNano())
	}
	if at := c.noted.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Close ends the allocation, unless pion closes the socket because the allocation has ended.
func (c *peerConn) Close() error { return c.close() }
