package signal

import (
	"context"
	"slices"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// currentSession returns the session that an identity now has in a room, or "".
type currentSession func(context.Context, livekit.RoomName, livekit.ParticipantIdentity) livekit.ParticipantID

// resumeRouter starts signalling connections as upstream's router does. But it does not tell a resuming client that a
// participant has left if that participant has joined again since. From 1.13.8 on, upstream reports the ends of all
// sessions of the last seconds, including replaced ones (participant_signal.go, GetRecentlyDisconnectedParticipants).
// Clients take this for the end of the identity's present session, and lose its tracks until they leave the room.
type resumeRouter struct {
	messageRouter
	current currentSession
}

func (r resumeRouter) StartParticipantSignal(ctx context.Context, room livekit.RoomName, init participantInit) (startedSignal, error) {
	started, err := r.messageRouter.StartParticipantSignal(ctx, room, init)
	// Older clients tell sessions apart, and learn of a new one only by the end of the old one (room.go,
	// pushAndDequeueUpdates).
	if err != nil || !init.Reconnect || !protocolVersion(init.Client.GetProtocol()).SupportsIdentityBasedReconnection() {
		return started, err
	}
	isReplaced := func(p *livekit.ParticipantInfo) bool {
		if p.State != livekit.ParticipantInfo_DISCONNECTED {
			return false
		}
		// The context of the connection's start can't be used, since it ends before the connection does.
		now := r.current(context.WithoutCancel(ctx), room, livekit.ParticipantIdentity(p.Identity))
		return now != "" && now != livekit.ParticipantID(p.Sid)
	}
	started.ResponseSource = filterSource(started.ResponseSource, func(message proto.Message) []proto.Message {
		return withoutParticipants(message, isReplaced)
	})
	return started, nil
}

// withoutParticipants returns the message without those participants of an update that are left out, or no message if
// no other participant is in it. It copies what it changes.
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
