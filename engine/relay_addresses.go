package main

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/pion/turn/v5"
)

// relayAddresses gives allocations their sockets: on the relay address, within the relay ports, and with nobody
// but the peers at the other end.
type relayAddresses struct {
	turn.RelayAddressGeneratorPortRange
	peers peers
	quota *quota
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
		peers: config.Peers,
		quota: newQuota(config.Quota),
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
	release := sync.OnceFunc(func() { a.quota.giveBack(want.UserID) })
	return &peerConn{conn, a.peers, release}, address, nil
}

// With TCP allocations (RFC 6062) a relay is a proxy to any TCP service at a peer's address, permissions or not.
func (a *relayAddresses) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errNoTCP
}

func (a *relayAddresses) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) {
	return nil, errNoTCP
}

// peerConn is the relay socket of one allocation. A permission opens all ports of an address to it; here only the
// peers' own ports remain.
type peerConn struct {
	net.PacketConn
	peers   peers
	release func()
}

func (c *peerConn) ReadFrom(buffer []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(buffer)
		if err != nil || c.peers.allow(from) {
			return n, from, err
		}
	}
}

func (c *peerConn) WriteTo(packet []byte, to net.Addr) (int, error) {
	if !c.peers.allow(to) {
		return 0, errNotAPeer
	}
	return c.PacketConn.WriteTo(packet, to)
}

func (c *peerConn) Close() error {
	defer c.release()
	return c.PacketConn.Close()
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
