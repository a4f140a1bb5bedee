package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/pion/turn/v5"
)

// relayAddresses gives allocations their sockets: on the relay address, within the relay ports, and with nobody
// but the peers at the other end.
type relayAddresses struct {
	turn.RelayAddressGeneratorPortRange
	peers     peers
	translate translations
	quota     *quota
	clients   *relayClients
}

// portTries is how many random ports are tried for an allocation; LiveKit's own TURN tries as many.
const portTries = 50

var (
	errNoTCP    = errors.New("this relay has no TCP allocations")
	errNotAPeer = errors.New("not a peer of this relay")
	errQuota    = errors.New("the participant has its quota of allocations")
)

func newRelayAddresses(config relayConfig) *relayAddresses {
	return &relayAddresses{
		RelayAddressGeneratorPortRange: turn.RelayAddressGeneratorPortRange{
			RelayAddress: config.RelayAddress.AsSlice(),
			Address:      config.RelayAddress.String(),
			MinPort:      config.RelayPorts.Min,
			MaxPort:      config.RelayPorts.Max,
			MaxRetries:   portTries,
		},
		peers:     config.Peers,
		translate: config.Translate,
		quota:     newQuota(config.Quota),
		clients:   newRelayClients(config),
	}
}

func (a *relayAddresses) permit(_ net.Addr, peer net.IP) bool { return a.peers.allowIP(peer) }

func (a *relayAddresses) AllocatePacketConn(want turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	// A client names a port through EVEN-PORT and its reservation for the port after that.
	if want.RequestedPort != 0 && (want.RequestedPort < int(a.MinPort) || want.RequestedPort > int(a.MaxPort)) {
		return nil, nil, fmt.Errorf("port %d is not a relay port", want.RequestedPort)
	}
	if !a.quota.take(want.UserID) {
		return nil, nil, errQuota
	}
	conn, address, err := a.RelayAddressGeneratorPortRange.AllocatePacketConn(want)
	if err != nil {
		a.quota.giveBack(want.UserID)
		return nil, nil, err
	}
	opened := &peerConn{UDPConn: conn.(*net.UDPConn), peers: a.peers, homes: newPeerHomes(a.peers, a.translate)}
	opened.release = sync.OnceFunc(func() {
		a.quota.giveBack(want.UserID)
		a.clients.closed(opened)
	})
	a.clients.opened(opened)
	return opened, address, nil
}

// With TCP allocations (RFC 6062) a relay is a proxy to any TCP service at a peer's address, permissions or not.
func (a *relayAddresses) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errNoTCP
}

func (a *relayAddresses) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) {
	return nil, errNoTCP
}

// peerConn is the relay socket of one allocation. A permission opens all ports of an address to it; here only the
// peers' own ports remain. To pion the peers have the addresses that clients name.
type peerConn struct {
	*net.UDPConn
	peers   peers
	homes   peerHomes
	release func()

	from *net.UDPAddr // of the last packet: one peer sends most of them

	client  net.Addr    // guarded by relayClients
	carried atomic.Bool // packets of the client's to media, since relayClients looked
}

func (c *peerConn) port() int { return c.LocalAddr().(*net.UDPAddr).Port }

// ReadFrom has one caller, pion's loop for the allocation.
func (c *peerConn) ReadFrom(buffer []byte) (int, net.Addr, error) {
	for {
		n, at, err := c.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return n, nil, err
		}
		at = netip.AddrPortFrom(c.homes.name(at.Addr().Unmap()), at.Port())
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
	return c.WriteToUDPAddrPort(packet, netip.AddrPortFrom(c.homes.reach(at.Addr()), at.Port()))
}

func (c *peerConn) Close() error {
	defer c.release()
	return c.UDPConn.Close()
}

// quota counts the allocations of each participant.
type quota struct {
	limit int
	mu    sync.Mutex
	held  map[string]int
}

func newQuota(limit int) *quota { return &quota{limit: limit, held: map[string]int{}} }

func (q *quota) full(participant string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held[participant] >= q.limit
}

func (q *quota) take(participant string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held[participant] >= q.limit {
		return false
	}
	q.held[participant]++
	return true
}

func (q *quota) giveBack(participant string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held[participant]--; q.held[participant] == 0 {
		delete(q.held, participant)
	}
}
