package sfu

import (
	"context"

	"github.com/livekit/livekit-server/pkg/rtc"
	"github.com/livekit/livekit-server/pkg/rtc/types"
	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/livekit-server/pkg/telemetry"
	"github.com/livekit/protocol/livekit"

	"lkhub/engine/internal/agents"
	"lkhub/engine/internal/private"
	"lkhub/engine/internal/roster"
	"lkhub/engine/internal/sfu/signal"
)

// rosterTelemetry learns from upstream's room manager which participants join and leave. The room manager's list of
// rooms is not reliable: a room that is closed also removes the next room of its name (roommanager.go, deleteRoom).
type rosterTelemetry struct {
	telemetry.TelemetryService
	roster *roster.Roster
	agents *agents.Book
	ends   *signal.Ends
	find   findRoom
}

// findRoom returns the room with this name that is on the list now, or nil.
type findRoom func(ctx context.Context, name livekit.RoomName) *rtc.Room

// keepRoster must be called before the server starts. If the field is renamed, TestMediaSaysWhichParticipantsAreIn fails.
func keepRoster(rooms *service.RoomManager, kept *roster.Roster, book *agents.Book, ends *signal.Ends) {
	heard := private.Field[telemetry.TelemetryService](rooms, "telemetry")
	*heard = rosterTelemetry{*heard, kept, book, ends, rooms.GetRoom}
}

// ParticipantJoined is called by the room manager with shouldSendEvent, and without it by the statistics of each
// signalling connection. So is ParticipantLeft.
func (t rosterTelemetry) ParticipantJoined(
	ctx context.Context, room *livekit.Room, participant *livekit.ParticipantInfo, client *livekit.ClientInfo,
	meta *livekit.AnalyticsClientMeta, shouldSendEvent bool, guard *telemetry.ReferenceGuard,
) {
	if shouldSendEvent {
		t.roster.Join(participant.Sid, participant.Identity, room.Sid)
		t.hearEnd(ctx, room, livekit.ParticipantID(participant.Sid))
		if in := t.find(ctx, livekit.RoomName(room.Name)); in != nil && participant.Kind == livekit.ParticipantInfo_AGENT {
			agentJoined(t.agents, agentRoom{in, t.ends}, participant)
		}
	}
	t.TelemetryService.ParticipantJoined(ctx, room, participant, client, meta, shouldSendEvent, guard)
}

// hearEnd does not rely on the room manager to report the end, since what the room manager has registered may never be
// called. If the room is not on the list, only the room's own end is reported (RoomEnded).
func (t rosterTelemetry) hearEnd(ctx context.Context, told *livekit.Room, participant livekit.ParticipantID) {
	room := t.find(ctx, livekit.RoomName(told.Name))
	if room == nil || string(room.ID()) != told.Sid {
		return
	}
	if session := room.GetParticipantByID(participant); session != nil {
		leaveAtEnd(t.roster, session)
	} else { // it was removed from its room since it joined
		t.roster.Leave(string(participant))
	}
}

// session has the methods of upstream's participant that are used here.
type session interface {
	ID() livekit.ParticipantID
	AddOnClose(key string, callback func(types.LocalParticipant))
	IsClosed() bool
}

const rosterCloseKey = "lkhub-roster"

// leaveAtEnd removes a session from the roster when it is closed, at whatever moment that is. Upstream's AddOnClose
// first checks whether the session is closed, and then adds the callback. A Close in between misses the callback
// (participant.go, AddOnClose, Close). So leaveAtEnd checks again afterwards.
func leaveAtEnd(r *roster.Roster, s session) {
	participant := string(s.ID())
	s.AddOnClose(rosterCloseKey, func(types.LocalParticipant) { r.Leave(participant) })
	if s.IsClosed() {
		r.Leave(participant)
	}
}

func (t rosterTelemetry) ParticipantLeft(
	ctx context.Context, room *livekit.Room, participant *livekit.ParticipantInfo, shouldSendEvent bool, guard *telemetry.ReferenceGuard,
) {
	if shouldSendEvent {
		t.roster.Leave(participant.Sid)
		if participant.Kind == livekit.ParticipantInfo_AGENT {
			t.agents.SessionEnded(room.Sid, participant.Identity, endingOf(participant.DisconnectReason))
		}
	}
	t.TelemetryService.ParticipantLeft(ctx, room, participant, shouldSendEvent, guard)
}

// RoomEnded is called after all participants of the room have been closed.
func (t rosterTelemetry) RoomEnded(ctx context.Context, room *livekit.Room, reason livekit.RoomEndReason) {
	t.roster.End(room.Sid)
	t.TelemetryService.RoomEnded(ctx, room, reason)
}
