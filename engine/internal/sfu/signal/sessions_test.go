package signal

import (
	"context"
	"errors"
	"testing"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// inDen returns the session that an identity now has in the room "den".
func inDen(_ context.Context, room livekit.RoomName, identity livekit.ParticipantIdentity) livekit.ParticipantID {
	return map[livekit.ParticipantIdentity]livekit.ParticipantID{"ann": "PA_ann2", "bob": "PA_bob1"}[identity]
}

func update(infos ...*livekit.ParticipantInfo) *livekit.SignalResponse {
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_Update{Update: &livekit.ParticipantUpdate{Participants: infos}}}
}

func info(identity, sid string, state livekit.ParticipantInfo_State) *livekit.ParticipantInfo {
	return &livekit.ParticipantInfo{Identity: identity, Sid: sid, State: state}
}

func resumed(t *testing.T, init participantInit, messages ...proto.Message) (messageSource, fakeSource) {
	t.Helper()
	upstream := fakeSource{make(chan proto.Message, len(messages))}
	for _, message := range messages {
		upstream.messages <- message
	}
	router := resumeRouter{fakeRouter{started: startedSignal{ResponseSource: upstream}}, inDen}
	started, err := router.StartParticipantSignal(t.Context(), "den", init)
	if err != nil {
		t.Fatal(err)
	}
	return started.ResponseSource, upstream
}

var resuming = participantInit{Reconnect: true, Client: &livekit.ClientInfo{Protocol: 16}}

func TestAResumingClientIsNotToldTheEndOfAReplacedSession(t *testing.T) {
	const gone, active = livekit.ParticipantInfo_DISCONNECTED, livekit.ParticipantInfo_ACTIVE
	pong := &livekit.SignalResponse{Message: &livekit.SignalResponse_Pong{Pong: 1}}
	replaced := update(info("ann", "PA_ann1", gone))
	mixed := update(info("ann", "PA_ann1", gone), info("cid", "PA_cid1", gone), info("ann", "PA_ann2", active))
	same := update(info("bob", "PA_bob1", gone))
	source, upstream := resumed(t, resuming, replaced, mixed, same, pong)
	upstream.Close()
	for _, want := range []proto.Message{update(info("cid", "PA_cid1", gone), info("ann", "PA_ann2", active)), same, pong} {
		if got := nextMessage(t, source); !proto.Equal(got, want) {
			t.Errorf("got %v, not %v", got, want)
		}
	}
	if got := nextMessage(t, source); got != nil {
		t.Errorf("after the end: %v", got)
	}
	if len(mixed.GetUpdate().Participants) != 3 {
		t.Error("upstream's own message, which others get as well, has changed")
	}
}

func TestOtherConnectionsAreLeftAlone(t *testing.T) {
	for name, init := range map[string]participantInit{
		"a client that joins":                  {Client: &livekit.ClientInfo{Protocol: 16}},
		"a client that tells sessions apart":   {Reconnect: true, Client: &livekit.ClientInfo{Protocol: 11}},
		"a client that says nothing of itself": {Reconnect: true},
	} {
		if source, upstream := resumed(t, init); source != upstream {
			t.Errorf("%s: %T", name, source)
		}
	}
	failing := resumeRouter{fakeRouter{err: errors.New("full")}, inDen}
	if _, err := failing.StartParticipantSignal(t.Context(), "den", resuming); err == nil || err.Error() != "full" {
		t.Error(err)
	}
}
