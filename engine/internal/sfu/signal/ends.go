package signal

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/protocol/livekit"
)

// endsKept is longer than a participant whose process is dead stays in its room.
const endsKept = time.Minute

// Ends are the signalling connections of agents that have ended lately. With Redis, upstream tells the room of such an
// end by a message that Redis passes on, also within one process. While Redis is away the room is not told, and
// afterwards up to four seconds later (signal.go, MaxRetryInterval).
type Ends struct {
	clock func() time.Time

	mu sync.Mutex
	at map[livekit.ConnectionID]time.Time
}

func NewEnds(clock func() time.Time) *Ends {
	return &Ends{clock: clock, at: map[livekit.ConnectionID]time.Time{}}
}

// Add notes that these have ended.
func (e *Ends) Add(connections ...livekit.ConnectionID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.clock()
	maps.DeleteFunc(e.at, func(_ livekit.ConnectionID, at time.Time) bool { return now.Sub(at) > endsKept })
	for _, each := range connections {
		if e.at[each].IsZero() {
			e.at[each] = now
		}
	}
}

func (e *Ends) Has(connection livekit.ConnectionID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.at[connection].IsZero()
}

// List has all of the last minute.
func (e *Ends) List() []livekit.ConnectionID {
	e.Add()
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.AppendSeq([]livekit.ConnectionID{}, maps.Keys(e.at))
}

// WatchEnds notes the ends of agents' signalling connections to this process. It must be called before the server starts,
// and after all else that stands between signalling and media. If one of the fields is renamed,
// TestMediaFromStartToDrain fails.
func WatchEnds(server *service.LivekitServer, ends *Ends) {
	router := routerOf(server)
	*router = endRouter{*router, ends}
}

type endRouter struct {
	messageRouter
	ends *Ends
}

func (r endRouter) StartParticipantSignal(ctx context.Context, room livekit.RoomName, init participantInit) (startedSignal, error) {
	started, err := r.messageRouter.StartParticipantSignal(ctx, room, init)
	if err == nil && init.Grants.GetParticipantKind() == livekit.ParticipantInfo_AGENT {
		started.RequestSink = endSink{started.RequestSink, func() { r.ends.Add(started.ConnectionID) }}
	}
	return started, err
}

// endSink takes one client's messages. Upstream closes it when the client's connection has ended.
type endSink struct {
	messageSink
	note func()
}

func (s endSink) Close() {
	s.note()
	s.messageSink.Close()
}
