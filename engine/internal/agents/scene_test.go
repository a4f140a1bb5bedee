package agents

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// scene is one room with one dispatch, and its workers. Look has been called as often as it asked for.
type scene struct {
	t    *testing.T
	now  time.Time
	book *Book
	room *fakeRoom
	// which process the workers connect to; nil: the room's own
	connectsTo *Book
	others     []*fakeRoom
	workers    map[string]*Connection
	jobs       int
}

type fakeRoom struct {
	book      *Book
	id        string
	dispatch  *livekit.AgentDispatch
	targets   map[livekit.JobType][]string
	present   map[string]Presence
	launching bool
	acts      []string
}

func (r *fakeRoom) ID() string                            { return r.id }
func (r *fakeRoom) Name() string                          { return "name of " + r.id }
func (r *fakeRoom) Dispatches() []*livekit.AgentDispatch  { return []*livekit.AgentDispatch{r.dispatch} }
func (r *fakeRoom) Targets(kind livekit.JobType) []string { return r.targets[kind] }
func (r *fakeRoom) Presence(identity string) Presence     { return r.present[identity] }
func (r *fakeRoom) IsLaunching(string) bool               { return r.launching }

func (r *fakeRoom) Remove(identity string) {
	if r.present[identity] == Absent {
		return
	}
	r.acts = append(r.acts, "remove "+identity)
	delete(r.present, identity)
	r.book.SessionEnded(r.id, identity, Removed) // livekit-server tells of each end
}

func (r *fakeRoom) Launch(_ string, _ livekit.JobType, target string) {
	r.acts = append(r.acts, strings.TrimSpace("launch "+target))
}

// newScene has a room that began just now, with a person in it, and no worker.
func newScene(t *testing.T) *scene {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	s := &scene{t: t, now: time.Unix(1_800_000_000, 0), workers: map[string]*Connection{}}
	s.book = NewBook(func() time.Time { return s.now })
	s.room = s.newRoom("R")
	return s
}

func (s *scene) newRoom(id string) *fakeRoom {
	return &fakeRoom{
		book: s.book, id: id, present: map[string]Presence{}, targets: map[livekit.JobType][]string{livekit.JobType_JT_ROOM: {""}},
		dispatch: &livekit.AgentDispatch{Id: "D" + id, AgentName: "bo", State: &livekit.AgentDispatchState{CreatedAt: s.now.UnixNano()}},
	}
}

func (s *scene) rooms() []Room {
	rooms := []Room{s.room}
	for _, room := range s.others {
		rooms = append(rooms, room)
	}
	return rooms
}

// pass lets time pass as in media: it looks after each change, and when the last look asked for it.
func (s *scene) pass(how time.Duration) {
	until := s.now.Add(how)
	for {
		next := s.book.Look(s.rooms())
		select {
		case <-s.book.Changed():
			continue
		default:
		}
		if s.now.Add(next).After(until) {
			s.now = until
			return
		}
		s.now = s.now.Add(next)
	}
}

func (s *scene) connect(id string) {
	s.connectAs(id, "key", &livekit.RegisterWorkerRequest{AgentName: "bo"})
}

func (s *scene) connectAs(id, apiKey string, asked *livekit.RegisterWorkerRequest) {
	c := cmp.Or(s.connectsTo, s.book).Connect("127.0.0.1:1", apiKey)
	s.workers[id] = c
	c.FromWorker(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_Register{Register: asked}})
	c.ToWorker(&livekit.ServerMessage{Message: &livekit.ServerMessage_Register{Register: &livekit.RegisterWorkerResponse{WorkerId: id}}})
}

func (s *scene) offer(to, target string) *livekit.Job {
	s.jobs++
	job := &livekit.Job{
		Id: fmt.Sprint("J", s.jobs), DispatchId: s.room.dispatch.Id, AgentName: "bo", Room: &livekit.Room{Sid: s.room.id, Name: s.room.Name()},
		State: &livekit.JobState{WorkerId: to, StartedAt: s.now.UnixNano()},
	}
	if target != "" {
		job.Type, job.Participant = livekit.JobType_JT_PARTICIPANT, &livekit.ParticipantInfo{Sid: target}
	}
	s.send(to, &livekit.ServerMessage{Message: &livekit.ServerMessage_Availability{Availability: &livekit.AvailabilityRequest{Job: job}}})
	return job
}

func (s *scene) send(to string, message *livekit.ServerMessage) bool {
	sent := s.workers[to].ToWorker(message)
	if !sent {
		s.room.acts = append(s.room.acts, "keep a job from "+to)
	}
	return sent
}

// join has an agent join its room, as one of a process before does.
func (s *scene) join(agent string) {
	s.room.present[agent] = Connected
	if !s.book.Joined(s.room, agent, "bo") {
		s.room.Remove(agent)
	}
}

// give gives the room's job to a worker, whose agent joins at once.
func (s *scene) give(to, agent string) string { return s.giveFor(to, agent, "") }

func (s *scene) giveFor(to, agent, target string) string {
	job := proto.CloneOf(s.offer(to, target))
	job.State.ParticipantIdentity = agent
	if !s.send(to, &livekit.ServerMessage{Message: &livekit.ServerMessage_Assignment{Assignment: &livekit.JobAssignment{Job: job}}}) {
		return job.Id
	}
	s.room.dispatch.State.Jobs = append(s.room.dispatch.State.Jobs, job)
	s.room.present[agent] = Connected
	return job.Id
}

func (s *scene) update(worker, job string, status livekit.JobStatus) {
	told := &livekit.UpdateJobStatus{JobId: job, Status: status}
	s.workers[worker].FromWorker(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_UpdateJob{UpdateJob: told}})
}

func (s *scene) fail(worker, job string) { s.update(worker, job, livekit.JobStatus_JS_FAILED) }

// failAtOnce gives the room's job to a worker, whose agent "a" joins and fails.
func (s *scene) failAtOnce(worker string) {
	job := s.give(worker, "a")
	s.room.present["a"] = Cut
	s.fail(worker, job)
}

func (s *scene) succeed(worker, job string) { s.update(worker, job, livekit.JobStatus_JS_SUCCESS) }

func (s *scene) stillRuns(worker string, jobs ...string) {
	told := &livekit.MigrateJobRequest{JobIds: jobs}
	s.workers[worker].FromWorker(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_MigrateJob{MigrateJob: told}})
}

func (s *scene) status(worker string, status livekit.WorkerStatus, load float32) {
	told := &livekit.UpdateWorkerStatus{Status: &status, Load: load}
	s.workers[worker].FromWorker(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_UpdateWorker{UpdateWorker: told}})
}

func (s *scene) full(worker string) { s.status(worker, livekit.WorkerStatus_WS_FULL, 0.9) }
func (s *scene) free(worker string) { s.status(worker, livekit.WorkerStatus_WS_AVAILABLE, 0.1) }

// cut ends the connection of a worker; kill also that of its agent.
func (s *scene) cut(worker string) { s.workers[worker].Close() }

func (s *scene) kill(worker, agent string) {
	s.room.present[agent] = Cut
	s.cut(worker)
}

// leaves ends the session of an agent.
func (s *scene) leaves(agent string, how Ending) {
	delete(s.room.present, agent)
	s.book.SessionEnded(s.room.id, agent, how)
}

// did tells what was done since the last call.
func (s *scene) did() string {
	acts := strings.Join(s.room.acts, ", ")
	s.room.acts = nil
	return acts
}

func (s *scene) expect(want string) {
	s.t.Helper()
	if got := s.did(); got != want {
		s.t.Errorf("did %q, want %q", got, want)
	}
}

// waits tells why the room waits, and since when.
func (s *scene) waits() string {
	var told []string
	for _, each := range s.book.Status(s.rooms()).Waiting {
		told = append(told, fmt.Sprint(each.Room, " ", each.Agent, " ", each.Reason, " ", time.Duration(float64(s.now.Unix())-each.Since)*time.Second))
	}
	return strings.Join(told, ", ")
}

func (s *scene) expectWaits(want string) {
	s.t.Helper()
	if got := s.waits(); got != want {
		s.t.Errorf("waits %q, want %q", got, want)
	}
}
