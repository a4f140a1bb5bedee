package main

import (
	"context"

	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/livekit-server/pkg/telemetry"
	"github.com/livekit/protocol/livekit"
)

// rosterTelemetry hears of upstream's room manager who joins and who leaves. Its rooms are no way to know: one that is
// closed takes the next one of its name off the list (roommanager.go, deleteRoom).
type rosterTelemetry struct {
	telemetry.TelemetryService
	roster *roster
}

// keepRoster is to be called before the server starts. If the field is renamed, TestMediaSaysWhoIsIn fails.
func keepRoster(rooms *service.RoomManager, kept *roster) {
	heard := private[telemetry.TelemetryService](rooms, "telemetry")
	*heard = rosterTelemetry{*heard, kept}
}

// ParticipantJoined comes from the room manager with shouldSendEvent, and without from the statistics of each connection
// for signalling, as ParticipantLeft does.
func (t rosterTelemetry) ParticipantJoined(
	ctx context.Context, room *livekit.Room, participant *livekit.ParticipantInfo, client *livekit.ClientInfo,
	meta *livekit.AnalyticsClientMeta, shouldSendEvent bool, guard *telemetry.ReferenceGuard,
) {
	if shouldSendEvent {
		t.roster.joined(participant.Sid, participant.Identity)
	}
	t.TelemetryService.ParticipantJoined(ctx, room, participant, client, meta, shouldSendEvent, guard)
}

func (t rosterTelemetry) ParticipantLeft(
	ctx context.Context, room *livekit.Room, participant *livekit.ParticipantInfo, shouldSendEvent bool, guard *telemetry.ReferenceGuard,
) {
	if shouldSendEvent {
		t.roster.leave(participant.Sid)
	}
	t.TelemetryService.ParticipantLeft(ctx, room, participant, shouldSendEvent, guard)
}

// Presence tells of participants by their SID.
func (s *sfu) Presence(participants []string) presence { return s.roster.Presence(participants) }
