package sfu

import (
	"context"

	"github.com/livekit/livekit-server/pkg/rtc"
	"github.com/livekit/livekit-server/pkg/rtc/types"
	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/livekit-server/pkg/telemetry"
	"github.com/livekit/protocol/livekit"

	"lkhub/engine/internal/private"
	"lkhub/engine/internal/roster"
)

// rosterTelemetry hears of upstream's room manager who joins and who leaves. Its rooms are no way to know: one that is
// closed takes the next one of its name off the list (roommanager.go, deleteRoom).
type rosterTelemetry struct {
	telemetry.TelemetryService
	roster *roster.Roster
	find   findRoom
}

// findRoom returns the room of a name that is on the list now, nil if there is none.
type findRoom func(ctx context.Context, name livekit.RoomName) *rtc.Room

// keepRoster is to be called before the server starts. If the field is renamed, TestMediaSaysWhoIsIn fails.
func keepRoster(rooms *service.RoomManager, kept *roster.Roster) {
	heard := private.Field[telemetry.TelemetryService](rooms, "telemetry")
	*heard = rosterTelemetry{*heard, kept, rooms.GetRoom}
}

// ParticipantJoined comes from the room manager with shouldSendEvent, and without from the statistics of each connection
// for signalling, as ParticipantLeft does.
func (t rosterTelemetry) ParticipantJoined(
	ctx context.Context, room *livekit.Room, participant *livekit.ParticipantInfo, client *livekit.ClientInfo,
	meta *livekit.AnalyticsClientMeta, shouldSendEvent bool, guard *telemetry.ReferenceGuard,
) {
	if shouldSendEvent {
		t.roster.Join(participant.Sid, participant.Identity, room.Sid)
		t.hearEnd(ctx, room, livekit.ParticipantID(participant.Sid))
	}
	t.TelemetryService.ParticipantJoined(ctx, room, participant, client, meta, shouldSendEvent, guard)
}

// hearEnd does not rely on the room manager for the end: what it has called then may never be. Where the room is not on
// the list, that it ends is all that can be heard (RoomEnded).
func (t rosterTelemetry) hearEnd(ctx context.Context, told *livekit.Room, participant livekit.ParticipantID) {
	room := t.find(ctx, livekit.RoomName(told.Name))
	if room == nil || string(room.ID()) != told.Sid {
		return
	}
	if session := room.GetParticipantByID(participant); session != nil {
		leaveAtEnd(t.roster, session)
	} else { // it was taken out of its room since it joined
		t.roster.Leave(string(participant))
	}
}

// session is what is asked of upstream's participant.
type session interface {
	ID() livekit.ParticipantID
	AddOnClose(key string, callback func(types.LocalParticipant))
	IsClosed() bool
}

const rosterCloseKey = "lkhub-roster"

// leaveAtEnd takes a session off when it is closed, at whatever moment that is. Upstream first looks whether it is closed,
// and then adds what is to be called; a Close in between has called all that was there (participant.go, AddOnClose,
// Close). So it is looked at again afterwards.
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
	}
	t.TelemetryService.ParticipantLeft(ctx, room, participant, shouldSendEvent, guard)
}

// RoomEnded comes after all of its participants have been closed.
func (t rosterTelemetry) RoomEnded(ctx context.Context, room *livekit.Room, reason livekit.RoomEndReason) {
	t.roster.End(room.Sid)
	t.TelemetryService.RoomEnded(ctx, room, reason)
}
