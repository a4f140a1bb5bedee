package signal

import (
	"context"
	"slices"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// currentSession says which session an identity has in a room now, empty if it has none.
type currentSession func(context.Context, livekit.RoomName, livekit.ParticipantIdentity) livekit.ParticipantID

// resumeRouter starts signalling connections as upstream's router does, but does not tell a client that resumes that a
// participant left which has joined again since. From 1.13.8 on upstream tells the ends of all sessions of the last
// seconds, replaced ones as well (participant_signal.go, GetRecentlyDisconnectedParticipants), and clients take it for the
// end of the session that the identity has now: its tracks are gone for them until they leave the room.
type resumeRouter struct {
	messageRouter
	current currentSession
}

func (r resumeRouter) StartParticipantSignal(ctx context.Context, room livekit.RoomName, init participantInit) (startedSignal, error) {
	started, err := r.messageRouter.StartParticipantSignal(ctx, room, init)
	// Older clients tell sessions apart, and learn of a new one only by the end of the old (room.go, pushAndDequeueUpdates).
	if err != nil || !init.Reconnect || !protocolVersion(init.Client.GetProtocol()).SupportsIdentityBasedReconnection() {
		return started, err
	}
	isReplaced := func(p *livekit.ParticipantInfo) bool {
		if p.State != livekit.ParticipantInfo_DISCONNECTED {
			return false
		}
		// Not the context of the connection's start, which ends before the connection does.
		now := r.current(context.WithoutCancel(ctx), room, livekit.ParticipantIdentity(p.Identity))
		return now != "" && now != livekit.ParticipantID(p.Sid)
	}
	started.ResponseSource = filterSource(started.ResponseSource, func(message proto.Message) []proto.Message {
		return withoutParticipants(message, isReplaced)
	})
	return started, nil
}

// withoutParticipants returns the message without the participants of an update that are to be left out, and nothing if
// no other is in it. What could change is copied.
func withoutParticipants(message proto.Message, leftOut func(*livekit.ParticipantInfo) bool) []proto.Message {
	response, ok := message.(*livekit.SignalResponse)
	if !ok || !slices.ContainsFunc(response.GetUpdate().GetParticipants(), leftOut) {
		return []proto.Message{message}
	}
	left := slices.DeleteFunc(slices.Clone(response.GetUpdate().GetParticipants()), leftOut)
	if len(left) == 0 {
		return nil
	}
	update := &livekit.ParticipantUpdate{Participants: left}
	return []proto.Message{&livekit.SignalResponse{Message: &livekit.SignalResponse_Update{Update: update}}}
}
