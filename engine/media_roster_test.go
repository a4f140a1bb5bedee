package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/stun/v3"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/participant"
	"lkhub/engine/internal/relay"
	"lkhub/engine/internal/turntest"
)

func TestMediaSaysWhichParticipantsAreIn(t *testing.T) {
	server := startSFU(t, enginetest.FreePort(t), "0", "")
	one, two := server.SignIn(t, "room", "one"), server.SignIn(t, "other room", "two")
	enginetest.Eventually(t, "both are in", func() bool {
		said := server.Presence(t, calltest.SID(one), calltest.SID(two), "PA_nobody")
		return len(said.In) == 2 && said.In[calltest.SID(one)] == "one" && said.In[calltest.SID(two)] == "two" && len(said.Left) == 0
	})
	again := server.SignIn(t, "room", "one")
	enginetest.Eventually(t, "the second join has ended the first", func() bool {
		said := server.Presence(t, calltest.SID(one), calltest.SID(again))
		return said.In[calltest.SID(again)] == "one" && len(said.In) == 1 && len(said.Left) == 1 && said.Left[0] == calltest.SID(one)
	})
	two.Close()
	enginetest.Eventually(t, "the participant that leaves has left", func() bool { return len(server.Presence(t, calltest.SID(two)).Left) == 1 })
}

// relayTo makes a relay with this many ports for a media process, which the relay asks.
func relayTo(t *testing.T, ports relay.PortRange) (calltest.Server, *testRelay) {
	t.Helper()
	udp := enginetest.FreePort(t)
	r, listen := startRelay(t, loopbackPort(t, udp), turntest.Quota, func(r *testRelay) { r.config.RelayPorts = ports })
	server := startSFU(t, udp, "0", turnServer(t, "127.0.0.1", strings.TrimPrefix(listen, "127.0.0.1:"), "udp"))
	config := r.config
	config.MediaControl = []string{server.Control}
	r.bounds.Use(config)
	return server, r
}

// turnCredential is what the server gave a participant.
func turnCredential(t *testing.T, p *participant.Participant) turntest.Credential {
	t.Helper()
	for _, server := range p.Welcome().IceServers {
		if server.Username != "" {
			return turntest.Credential{Username: server.Username, Password: server.Credential}
		}
	}
	t.Fatal("no credential for TURN")
	return turntest.Credential{}
}

// One join link is used over and over: each join takes all that a participant may have, from its own address.
func TestAFloodOfJoinsTakesNothingFromOthers(t *testing.T) {
	const size, joins = 1000, 40
	server, r := relayTo(t, relay.PortRange{Min: 25000, Max: 25000 + size - 1})
	allocate := func(credential turntest.Credential, network string, i int) stun.ErrorCode {
		client := netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprint(network, i)), turntest.NextClient().Port())
		return turntest.OverTLS(t, r.dialAs(t, client)).Allocate(credential)
	}
	most := 0
	for i := range joins {
		credential := turnCredential(t, server.SignIn(t, "lobby", "flood"))
		for range turntest.Quota {
			allocate(credential, "198.51.100.", i)
		}
		most = max(most, r.Allocations())
		victim := turnCredential(t, server.SignIn(t, "call", fmt.Sprint("other", i)))
		if code := allocate(victim, "203.0.113.", i); code != 0 {
			t.Fatalf("after %d joins, with %d of %d ports taken, another client got %d", i+1, r.Allocations(), size, code)
		}
	}
	t.Logf("%d allocations were asked for, at most %d of %d ports taken", joins*turntest.Quota, most, size)
	server.SignIn(t, "lobby", "flood").Close()
	enginetest.Eventually(t, "what is left is the others'", func() bool { return r.Allocations() == joins })
}
