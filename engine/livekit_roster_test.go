package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/stun/v3"

	"lkhub/engine/internal/participant"
)

// signIn joins a room and opens no PeerConnection.
func (s callServer) signIn(t *testing.T, room, identity string) *participant.Participant {
	t.Helper()
	p, err := participant.Join(t.Context(), participant.Config{URL: s.url, Token: callToken(t, callSecret, room, identity)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func sidOf(p *participant.Participant) string { return p.Welcome().Participant.Sid }

func (s callServer) presence(t *testing.T, participants ...string) presence {
	t.Helper()
	said, err := newRosterClient(s.control).ask(t.Context(), participants)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

func TestMediaSaysWhoIsIn(t *testing.T) {
	server := startSFU(t, freePort(t), "0", "")
	one, two := server.signIn(t, "room", "one"), server.signIn(t, "other room", "two")
	eventually(t, "both are in", func() bool {
		said := server.presence(t, sidOf(one), sidOf(two), "PA_nobody")
		return len(said.In) == 2 && said.In[sidOf(one)] == "one" && said.In[sidOf(two)] == "two" && len(said.Left) == 0
	})
	again := server.signIn(t, "room", "one")
	eventually(t, "the second join has ended the first", func() bool {
		said := server.presence(t, sidOf(one), sidOf(again))
		return said.In[sidOf(again)] == "one" && len(said.In) == 1 && len(said.Left) == 1 && said.Left[0] == sidOf(one)
	})
	two.Close()
	eventually(t, "who leaves has left", func() bool { return len(server.presence(t, sidOf(two)).Left) == 1 })
}

// relayTo has a relay of this many ports for a media process, which it asks.
func relayTo(t *testing.T, ports portRange) (callServer, *relay) {
	t.Helper()
	udp := freePort(t)
	r, listen := startRelay(t, loopbackPort(t, udp), usualQuota, func(r *relay) { r.config.RelayPorts = ports })
	server := startSFU(t, udp, "0", turnServer(t, "127.0.0.1", strings.TrimPrefix(listen, "127.0.0.1:"), "udp"))
	config := r.config
	config.MediaControl = server.control
	r.bounds.use(config)
	return server, r
}

// turnCredential is what the server gave a participant.
func turnCredential(t *testing.T, p *participant.Participant) credential {
	t.Helper()
	for _, server := range p.Welcome().IceServers {
		if server.Username != "" {
			return credential{server.Username, server.Credential}
		}
	}
	t.Fatal("no credential for TURN")
	return credential{}
}

// One join link, over and over: each join takes all that a participant may have, from an address of its own.
func TestAFloodOfJoinsTakesNothingFromOthers(t *testing.T) {
	const size, joins = 1000, 40
	server, r := relayTo(t, portRange{25000, 25000 + size - 1})
	allocate := func(who credential, network string, i int) stun.ErrorCode {
		client := netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprint(network, i)), uint16(1024+clientPort.Add(1)))
		return overTLS(t, dialAs(t, r, client)).allocate(who)
	}
	most := 0
	for i := range joins {
		who := turnCredential(t, server.signIn(t, "lobby", "flood"))
		for range usualQuota {
			allocate(who, "198.51.100.", i)
		}
		most = max(most, r.allocations())
		victim := turnCredential(t, server.signIn(t, "call", fmt.Sprint("other", i)))
		if code := allocate(victim, "203.0.113.", i); code != 0 {
			t.Fatalf("after %d joins, with %d of %d ports taken, somebody else got %d", i+1, r.allocations(), size, code)
		}
	}
	t.Logf("%d allocations were asked for, at most %d of %d ports taken", joins*usualQuota, most, size)
	server.signIn(t, "lobby", "flood").Close()
	eventually(t, "what is left is the others'", func() bool { return r.allocations() == joins })
}
