package main

import (
	"math"
	"net"
	"net/netip"
	"testing"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/relay"
	"lkhub/engine/internal/turntest"
)

// testRelay is a relay in this process.
type testRelay struct {
	*relay.Server
	config  relay.Config
	secret  string
	streams *turntest.Handed
	bounds  *relay.Bounds
}

// startRelay runs a relay on 127.0.0.1, over UDP and over streams. Its only peer is the given address. It returns the
// relay and where it listens. change, if any, may change its configuration.
func startRelay(t *testing.T, peer net.Addr, limit int, change ...func(*testRelay)) (*testRelay, string) {
	t.Helper()
	allowed := peer.(*net.UDPAddr).AddrPort()
	allowed = netip.AddrPortFrom(allowed.Addr().Unmap(), allowed.Port())
	host := "127.0.0.1"
	if allowed.Addr().Is6() {
		host = allowed.Addr().String()
	}
	address := netip.MustParseAddrPort(net.JoinHostPort(host, enginetest.FreePortAt(t, host)))
	r := &testRelay{secret: turntest.Secret, streams: turntest.NewHanded(), bounds: relay.NewBounds(math.MaxUint16)}
	r.config = relay.Config{
		Listen:       []netip.AddrPort{address},
		Realm:        turntest.Realm,
		RelayAddress: address.Addr(),
		RelayPorts:   relay.PortRange{Min: 20000, Max: 29999},
		Quota:        limit,
	}
	r.config.Peers = append(r.config.Peers, relay.Peer{
		Address: allowed.Addr(), PortRange: relay.PortRange{Min: allowed.Port(), Max: allowed.Port()},
	})
	for _, change := range change {
		change(r)
	}
	r.Server = relay.New(r.config, r.secret, r.streams, r.bounds)
	turntest.Start(t, r)
	return r, address.String()
}

// dialAs connects as the edge does for a client with this address.
func (r *testRelay) dialAs(t *testing.T, client netip.AddrPort) net.Conn {
	t.Helper()
	conn, err := r.streams.Dial(net.TCPAddrFromAddrPort(client))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
