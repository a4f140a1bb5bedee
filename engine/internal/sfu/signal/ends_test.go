package signal

import (
	"slices"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
)

func TestEndOfAnAgentsSignallingIsNoted(t *testing.T) {
	for kind, noted := range map[livekit.ParticipantInfo_Kind]bool{livekit.ParticipantInfo_AGENT: true, livekit.ParticipantInfo_STANDARD: false} {
		grants := &auth.ClaimGrants{}
		grants.SetParticipantKind(kind)
		ends, upstream := NewEnds(time.Now), &closedSink{}
		router := endRouter{fakeRouter{started: startedSignal{ConnectionID: "CO_1", RequestSink: upstream}}, ends}
		started, err := router.StartParticipantSignal(t.Context(), "den", participantInit{Grants: grants})
		if err != nil {
			t.Fatal(err)
		}
		if ends.Has("CO_1") {
			t.Errorf("%s: a connection has ended before it was closed", kind)
		}
		started.RequestSink.Close()
		if ends.Has("CO_1") != noted || !upstream.closed {
			t.Errorf("%s: noted %v, closed %v", kind, ends.Has("CO_1"), upstream.closed)
		}
	}
}

type closedSink struct {
	messageSink
	closed bool
}

func (s *closedSink) Close() { s.closed = true }

func TestEndsAreForgotten(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	ends := NewEnds(func() time.Time { return now })
	ends.Add("CO_1")
	now = now.Add(endsKept)
	ends.Add("CO_1", "CO_2") // another process tells the same each second
	if found := ends.List(); len(found) != 2 {
		t.Error(found)
	}
	now = now.Add(time.Second)
	if found := ends.List(); !slices.Equal(found, []livekit.ConnectionID{"CO_2"}) || ends.Has("CO_1") {
		t.Error(found)
	}
}
