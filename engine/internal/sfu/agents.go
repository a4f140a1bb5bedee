package sfu

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/livekit/livekit-server/pkg/agent"
	"github.com/livekit/livekit-server/pkg/config"
	"github.com/livekit/livekit-server/pkg/rtc"
	"github.com/livekit/livekit-server/pkg/rtc/types"
	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/utils/guid"

	"lkhub/engine/internal/agents"
	"lkhub/engine/internal/private"
	"lkhub/engine/internal/sfu/signal"
)

// agentSocket is upstream's service for agent workers, but each message is told to the book as well.
type agentSocket struct {
	handler  *service.AgentHandler
	upgrader service.AgentSocketUpgrader
	limit    int64
	book     *agents.Book
}

func newAgentSocket(conf *config.Config, handler *service.AgentHandler, book *agents.Book) *agentSocket {
	return &agentSocket{handler: handler, limit: conf.Limit.AgentSignalMessageSizeLimit, book: book}
}

// ServeHTTP does what upstream's does (agentws.go).
func (s *agentSocket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, registration, ok := s.upgrader.Upgrade(w, r, nil)
	if !ok {
		return
	}
	if s.limit > 0 {
		conn.SetReadLimit(s.limit)
	}
	watched := watchedWorker{service.NewWSSignalConnection(conn, s.limit), s.book.Connect(r.RemoteAddr, service.GetAPIKey(r.Context()))}
	defer watched.told.Close()
	defer watched.Close()
	s.handler.HandleConnection(r.Context(), watched, registration)
}

type watchedWorker struct {
	agent.SignalConn
	told *agents.Connection
}

func (w watchedWorker) ReadWorkerMessage() (*livekit.WorkerMessage, int, error) {
	message, size, err := w.SignalConn.ReadWorkerMessage()
	if err == nil {
		w.told.FromWorker(message)
	}
	return message, size, err
}

func (w watchedWorker) WriteServerMessage(message *livekit.ServerMessage) (int, error) {
	if !w.told.ToWorker(message) { // the handler asks the other workers, which are refused too
		return 0, agent.ErrWorkerNotAvailable
	}
	return w.SignalConn.WriteServerMessage(message)
}

// lull bounds how often all rooms are looked at.
const lull = 50 * time.Millisecond

// keepAgents asks for agents again until the context ends.
func (s *Server) keepAgents(ctx context.Context) {
	book := s.keys.agents
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-book.Changed():
		case <-timer.C:
		}
		timer.Reset(max(lull, book.Look(s.agentRooms())))
		select {
		case <-ctx.Done():
			return
		case <-time.After(lull):
		}
	}
}

// openRooms are all rooms of this node, also those without participants. Upstream exports no list of them. If a field is
// renamed, TestMediaReplacesLostAgents fails.
func (s *Server) openRooms() []*rtc.Room {
	manager := s.server.RoomManager()
	lock := private.Field[sync.RWMutex](manager, "lock")
	lock.RLock()
	defer lock.RUnlock()
	return slices.Collect(maps.Values(*private.Field[map[livekit.RoomName]*rtc.Room](manager, "rooms")))
}

func (s *Server) agentRooms() []agents.Room {
	var found []agents.Room
	for _, room := range s.openRooms() {
		found = append(found, agentRoom{room, s.ends})
	}
	return found
}

type agentRoom struct {
	room *rtc.Room
	ends *signal.Ends
}

func (r agentRoom) ID() string   { return string(r.room.ID()) }
func (r agentRoom) Name() string { return string(r.room.Name()) }

func (r agentRoom) Dispatches() []*livekit.AgentDispatch {
	found, _ := r.room.GetAgentDispatches("") // upstream's returns no error
	return found
}

func (r agentRoom) Targets(kind livekit.JobType) []string {
	var found []string
	for _, participant := range r.room.GetParticipants() {
		if participant.IsDependent() || participant.IsDisconnected() || (kind == livekit.JobType_JT_PUBLISHER && !participant.IsPublisher()) {
			continue
		}
		if kind == livekit.JobType_JT_ROOM {
			return []string{""}
		}
		found = append(found, string(participant.ID()))
	}
	return found
}

// agent is the session of an agent, or nil. A worker chooses its agents' identities, and might name a person's.
func (r agentRoom) agent(identity string) *rtc.ParticipantImpl {
	participant, _ := r.room.GetParticipant(livekit.ParticipantIdentity(identity)).(*rtc.ParticipantImpl)
	if participant == nil || !participant.IsAgent() {
		return nil
	}
	return participant
}

func (r agentRoom) Presence(identity string) agents.Presence {
	session := r.agent(identity)
	switch {
	case session == nil || session.IsDisconnected():
		return agents.Absent
	case !hasSignal(session) || r.hasEnded(session):
		return agents.Cut
	}
	return agents.Connected
}

// hasEnded tells whether the signalling connection of the session has ended and the room may not have been told.
func (r agentRoom) hasEnded(session *rtc.ParticipantImpl) bool {
	source := r.room.GetParticipantRequestSource(session.Identity())
	return source != nil && r.ends.Has(source.ConnectionID())
}

func (r agentRoom) Remove(identity string) {
	if session := r.agent(identity); session != nil {
		r.room.RemoveParticipant(session.Identity(), session.ID(), types.ParticipantCloseReasonServiceRequestRemoveParticipant)
	}
}

// agentJoined takes the beginning of an agent's session. Those that have no job, such as avatars that an agent calls in,
// have neither an agent's name in their token nor such an identity (worker.go, AssignJob).
func agentJoined(book *agents.Book, in agentRoom, participant *livekit.ParticipantInfo) {
	name, isNamed := participant.Attributes[agent.AgentNameAttributeKey]
	if !isNamed && !strings.HasPrefix(participant.Identity, "agent-"+guid.AgentJobPrefix) {
		return
	}
	if !book.Joined(in, participant.Identity, name) {
		slog.Info("removing an agent whose place another one has", "room", in.Name(), "identity", participant.Identity)
		go in.Remove(participant.Identity) // not within the join itself
	}
}

func (r agentRoom) IsLaunching(dispatch string) bool {
	found := dispatchOf(r.room, dispatch)
	return found.IsValid() && isLaunching(found)
}

// Launch is what upstream does when the room or the participant begins, with all its bookkeeping.
func (r agentRoom) Launch(dispatch string, kind livekit.JobType, target string) {
	found := dispatchOf(r.room, dispatch)
	if !found.IsValid() || r.room.IsClosed() {
		return // it was deleted meanwhile, or an agent would open the room again
	}
	if kind == livekit.JobType_JT_ROOM {
		launchRoomAgents(r.room, records(found))
		return
	}
	if participant := r.room.GetParticipantByID(livekit.ParticipantID(target)); participant != nil {
		launchTargetAgents(r.room, records(found), participant, kind)
	}
}

// endingOf tells how an agent's session has ended. livekit-server has an agent's job ended whose client joins again under
// its identity, as a client does that could not resume (room.go, RemoveParticipant): that agent did not leave.
func endingOf(reason livekit.DisconnectReason) agents.Ending {
	switch {
	case reason == livekit.DisconnectReason_PARTICIPANT_REMOVED:
		return agents.Removed
	case reason == livekit.DisconnectReason_DUPLICATE_IDENTITY || !types.IsIntentionalDisconnect(reason):
		return agents.CutOff
	}
	return agents.Left
}
