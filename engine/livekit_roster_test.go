package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/livekit/livekit-server/pkg/config"
	"github.com/livekit/livekit-server/pkg/rtc"
	"github.com/livekit/livekit-server/pkg/rtc/types"
	"github.com/livekit/livekit-server/pkg/telemetry"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/stun/v3"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/participant"
	"lkhub/engine/internal/private"
	"lkhub/engine/internal/relay"
	"lkhub/engine/internal/roster"
	"lkhub/engine/internal/turntest"
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

func (s callServer) presence(t *testing.T, participants ...string) roster.Presence {
	t.Helper()
	said, err := roster.NewClient(s.control).Ask(t.Context(), participants)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

func TestMediaSaysWhoisIn(t *testing.T) {
	server := startSFU(t, enginetest.FreePort(t), "0", "")
	one, two := server.signIn(t, "room", "one"), server.signIn(t, "other room", "two")
	enginetest.Eventually(t, "both are in", func() bool {
		said := server.presence(t, sidOf(one), sidOf(two), "PA_nobody")
		return len(said.In) == 2 && said.In[sidOf(one)] == "one" && said.In[sidOf(two)] == "two" && len(said.Left) == 0
	})
	again := server.signIn(t, "room", "one")
	enginetest.Eventually(t, "the second join has ended the first", func() bool {
		said := server.presence(t, sidOf(one), sidOf(again))
		return said.In[sidOf(again)] == "one" && len(said.In) == 1 && len(said.Left) == 1 && said.Left[0] == sidOf(one)
	})
	two.Close()
	enginetest.Eventually(t, "who leaves has left", func() bool { return len(server.presence(t, sidOf(two)).Left) == 1 })
}

// closingSession adds callbacks and closes as upstream's participant does (participant.go, AddOnClose, Close). It is closed
// at one of the moments in between: `at` counts them down.
type closingSession struct {
	mu      sync.Mutex
	closed  bool
	onClose map[string]func(types.LocalParticipant)
	late    sync.WaitGroup // callbacks that are added when it is closed
	at      int
}

func (s *closingSession) moment() {
	if s.at--; s.at == -1 {
		s.close()
	}
}

func (s *closingSession) close() {
	s.mu.Lock()
	s.closed = true
	var callbacks []func(types.LocalParticipant)
	for _, callback := range s.onClose {
		callbacks = append(callbacks, callback)
	}
	s.mu.Unlock()
	for _, callback := range callbacks {
		callback(nil)
	}
}

func (s *closingSession) ID() livekit.ParticipantID { return "PA_one" }

func (s *closingSession) IsClosed() bool {
	s.moment()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *closingSession) AddOnClose(key string, callback func(types.LocalParticipant)) {
	if s.IsClosed() {
		s.late.Go(func() { callback(nil) })
		return
	}
	s.moment()
	s.mu.Lock()
	s.onClose[key] = callback
	s.mu.Unlock()
	s.moment()
}

func isIn(r *roster.Roster, participant string) bool {
	return len(r.Presence([]string{participant}).In) == 1
}

func hasLeft(r *roster.Roster, participant string) bool {
	return len(r.Presence([]string{participant}).Left) == 1
}

// A session may be closed at any moment while it joins, also where upstream calls nobody any more.
func TestASessionThatClosesWhileItJoinshasLeft(t *testing.T) {
	for at := range 8 {
		r, s := roster.New(), &closingSession{at: at, onClose: map[string]func(types.LocalParticipant){}}
		s.moment()
		r.Join("PA_one", "one", "RM_one")
		s.moment()
		leaveAtEnd(r, s) // the room manager's own call comes later, and has the same gap
		s.moment()
		s.late.Wait()
		if isIn(r, "PA_one") == s.closed || hasLeft(r, "PA_one") != s.closed {
			t.Errorf("closed at moment %d (%v), and in: %v", at, s.closed, isIn(r, "PA_one"))
		}
		if s.close(); isIn(r, "PA_one") {
			t.Errorf("in after its end, which moment %d began", at)
		}
	}
}

// deaf is upstream's telemetry where the room manager's own call at the end is lost.
type deaf struct {
	rosterTelemetry
	left   chan string
	listed *atomic.Bool // whether rooms are
}

func (d deaf) ParticipantLeft(
	ctx context.Context, room *livekit.Room, participant *livekit.ParticipantInfo, shouldSendEvent bool, guard *telemetry.ReferenceGuard,
) {
	if shouldSendEvent {
		d.left <- participant.Sid
	}
	d.rosterTelemetry.TelemetryService.ParticipantLeft(ctx, room, participant, shouldSendEvent, guard)
}

// startDeaf runs media in this process.
func startDeaf(t *testing.T) (callServer, *sfu, deaf) {
	t.Helper()
	port, keyFile := enginetest.FreePort(t), filepath.Join(t.TempDir(), "keys.yaml")
	enginetest.WritePrivate(t, map[string]string{keyFile: callKey + ": " + callSecret + "\n"})
	conf, err := config.NewConfig(enginetest.LiveKitYAML(port, enginetest.FreePort(t), keyFile, ""), true, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := newSFU("", nil, nil)
	if err := server.initialize(conf); err != nil {
		t.Fatal(err)
	}
	heard := private.Field[telemetry.TelemetryService](server.server.RoomManager(), "telemetry")
	lost := deaf{(*heard).(rosterTelemetry), make(chan string, 8), new(atomic.Bool)}
	find := lost.find
	lost.find = func(ctx context.Context, name livekit.RoomName) *rtc.Room {
		if !lost.listed.Load() {
			return nil
		}
		return find(ctx, name)
	}
	*heard = lost
	over := make(chan error)
	go func() { over <- server.server.Start() }()
	if err := server.rooms.waitForAnswer(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		enginetest.Eventually(t, "it runs", server.server.IsRunning)
		server.server.Stop(true)
		<-over
	})
	return callServer{url: "ws://127.0.0.1:" + port}, server, lost
}

// With the real server: whoever leaves has left though the room manager's call is lost, and whoever is found on no list
// has when the room ends.
func TestWhoLeavesIsSeenWithoutTheRoomManager(t *testing.T) {
	server, media, lost := startDeaf(t)
	lost.listed.Store(true)
	one := server.signIn(t, "room", "one")
	enginetest.Eventually(t, "is in", func() bool { return isIn(media.roster, sidOf(one)) })
	one.Close()
	enginetest.Eventually(t, "has left", func() bool { return hasLeft(media.roster, sidOf(one)) })

	lost.listed.Store(false)
	two := server.signIn(t, "room", "two")
	enginetest.Eventually(t, "is in", func() bool { return isIn(media.roster, sidOf(two)) })
	two.Close()
	enginetest.Eventually(t, "the room manager has said so", func() bool { return slices.Contains(drain(lost.left), sidOf(two)) })
	if !isIn(media.roster, sidOf(two)) {
		t.Error("the test does not lose the call")
	}
	media.server.RoomManager().GetRoom(t.Context(), "room").Close(types.RoomCloseReasonUnknown)
	if !hasLeft(media.roster, sidOf(two)) {
		t.Error("in, though its room is no more")
	}
}

// drain takes what is there.
func drain(c chan string) (got []string) {
	for {
		select {
		case s := <-c:
			got = append(got, s)
		default:
			return got
		}
	}
}

// relayTo has a relay of this many ports for a media process, which it asks.
func relayTo(t *testing.T, ports relay.PortRange) (callServer, *testRelay) {
	t.Helper()
	udp := enginetest.FreePort(t)
	r, listen := startRelay(t, loopbackPort(t, udp), turntest.Quota, func(r *testRelay) { r.config.RelayPorts = ports })
	server := startSFU(t, udp, "0", turnServer(t, "127.0.0.1", strings.TrimPrefix(listen, "127.0.0.1:"), "udp"))
	config := r.config
	config.MediaControl = server.control
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

// One join link, over and over: each join takes all that a participant may have, from an address of its own.
func TestAFloodOfJoinsTakesNothingFromOthers(t *testing.T) {
	const size, joins = 1000, 40
	server, r := relayTo(t, relay.PortRange{Min: 25000, Max: 25000 + size - 1})
	allocate := func(who turntest.Credential, network string, i int) stun.ErrorCode {
		client := netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprint(network, i)), turntest.NextClient().Port())
		return turntest.OverTLS(t, r.dialAs(t, client)).Allocate(who)
	}
	most := 0
	for i := range joins {
		who := turnCredential(t, server.signIn(t, "lobby", "flood"))
		for range turntest.Quota {
			allocate(who, "198.51.100.", i)
		}
		most = max(most, r.Allocations())
		victim := turnCredential(t, server.signIn(t, "call", fmt.Sprint("other", i)))
		if code := allocate(victim, "203.0.113.", i); code != 0 {
			t.Fatalf("after %d joins, with %d of %d ports taken, somebody else got %d", i+1, r.Allocations(), size, code)
		}
	}
	t.Logf("%d allocations were asked for, at most %d of %d ports taken", joins*turntest.Quota, most, size)
	server.signIn(t, "lobby", "flood").Close()
	enginetest.Eventually(t, "what is left is the others'", func() bool { return r.Allocations() == joins })
}
