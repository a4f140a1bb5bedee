package sfu

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/livekit/livekit-server/pkg/config"
	"github.com/livekit/livekit-server/pkg/rtc"
	"github.com/livekit/livekit-server/pkg/rtc/types"
	"github.com/livekit/livekit-server/pkg/telemetry"
	"github.com/livekit/protocol/livekit"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/private"
	"lkhub/engine/internal/roster"
)

// closingSession adds callbacks and closes as upstream's participant does (participant.go, AddOnClose, Close). It
// closes at one of the moments in between, to which `at` counts down.
type closingSession struct {
	mu      sync.Mutex
	closed  bool
	onClose map[string]func(types.LocalParticipant)
	late    sync.WaitGroup // callbacks that are added when it is already closed
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

// A session may be closed at any moment while it joins, even if upstream calls no callback any more.
func TestASessionThatClosesWhileItJoinsHasLeft(t *testing.T) {
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

// deaf is upstream's telemetry without the room manager's own call at the end.
type deaf struct {
	rosterTelemetry
	left   chan string
	listed *atomic.Bool // whether rooms are listed
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
func startDeaf(t *testing.T) (calltest.Server, *Server, deaf) {
	t.Helper()
	port, keyFile := enginetest.FreePort(t), filepath.Join(t.TempDir(), "keys.yaml")
	enginetest.WritePrivate(t, map[string]string{keyFile: calltest.Key + ": " + calltest.Secret + "\n"})
	conf, err := config.NewConfig(enginetest.LiveKitYAML(port, enginetest.FreePort(t), keyFile, ""), true, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := New("", nil, nil)
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
	if err := waitForAnswer(t.Context(), "127.0.0.1:"+port); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		enginetest.Eventually(t, "it runs", server.server.IsRunning)
		server.server.Stop(true)
		<-over
	})
	return calltest.Server{URL: "ws://127.0.0.1:" + port}, server, lost
}

// With the real server: a participant that leaves has left, though the room manager's call is lost. A participant in a
// room that is on no list has left when the room ends.
func TestLeavingIsSeenWithoutTheRoomManager(t *testing.T) {
	server, media, lost := startDeaf(t)
	lost.listed.Store(true)
	one := server.SignIn(t, "room", "one")
	enginetest.Eventually(t, "is in", func() bool { return isIn(media.roster, calltest.SID(one)) })
	one.Close()
	enginetest.Eventually(t, "has left", func() bool { return hasLeft(media.roster, calltest.SID(one)) })

	lost.listed.Store(false)
	two := server.SignIn(t, "room", "two")
	enginetest.Eventually(t, "is in", func() bool { return isIn(media.roster, calltest.SID(two)) })
	two.Close()
	enginetest.Eventually(t, "the room manager has said so", func() bool { return slices.Contains(drain(lost.left), calltest.SID(two)) })
	if !isIn(media.roster, calltest.SID(two)) {
		t.Error("the test does not lose the call")
	}
	media.server.RoomManager().GetRoom(t.Context(), "room").Close(types.RoomCloseReasonUnknown)
	if !hasLeft(media.roster, calltest.SID(two)) {
		t.Error("in, though its room is no more")
	}
}

// drain returns what the channel has.
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
