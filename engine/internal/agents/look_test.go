package agents

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
)

const second = time.Second

// Each rule is played on a room with a person in it, that began just now. want is what was done in the room.
func TestWhenAnAgentIsAskedFor(t *testing.T) {
	for rule, each := range map[string]struct {
		play func(s *scene)
		want string
	}{
		"a room gets its agent when a worker comes late": {func(s *scene) {
			s.pass(time.Minute)
			s.connect("w")
			s.pass(second)
		}, "launch"},
		"a worker is not asked before livekit-server knows it": {func(s *scene) {
			s.pass(time.Minute)
			s.connect("w")
			s.pass(settling - time.Millisecond)
		}, ""},
		"livekit-server's own dispatch goes first": {func(s *scene) {
			s.connect("w")
			s.pass(second)
			s.give("w", "a")
			s.pass(time.Hour)
		}, ""},
		"a dispatch that has reached no worker is made again": {func(s *scene) {
			s.connect("w")
			s.pass(3 * second)
		}, "launch"},
		"a dispatch that was made later is treated as the room's first": {func(s *scene) {
			s.connect("w")
			s.now = s.now.Add(time.Hour)
			s.room.dispatch.State.CreatedAt = s.now.UnixNano()
			s.pass(second)
		}, ""},
		"a launch of livekit-server's that is still queued may reach a worker": {func(s *scene) {
			s.connect("w")
			s.room.launching = true
			s.pass(30 * second)
		}, ""},
		"a launch from before the worker can't reach it": {func(s *scene) {
			s.room.launching = true
			s.pass(2 * second)
			s.connect("w")
			s.pass(second)
		}, "launch"},
		"a launch that never ends is not waited for": {func(s *scene) {
			s.connect("w")
			s.room.launching = true
			s.pass(overdue + second)
		}, "launch"},
		"a room without people waits for them": {func(s *scene) {
			s.room.targets = nil
			s.connect("w")
			s.pass(time.Minute)
			s.expect("")
			s.room.targets = map[livekit.JobType][]string{livekit.JobType_JT_ROOM: {""}}
			s.pass(second)
		}, "launch"},
		"an offer is waited for": {func(s *scene) {
			s.connect("w")
			s.offer("w", "")
			s.room.launching = true
			s.pass(30 * second)
		}, ""},
		"an offer that no worker took is made again after a pause": {func(s *scene) {
			s.connect("w")
			s.offer("w", "")
			s.room.launching = true
			s.pass(5 * second)
			s.room.launching = false
			s.pass(pausing - second)
			s.expect("")
			s.pass(3 * second)
		}, "launch"},
		"a worker that was full is asked for what it had refused": {func(s *scene) {
			s.connect("w")
			s.offer("w", "")
			s.pass(3 * second)
			s.full("w")
			s.pass(second)
			s.free("w")
			s.pass(second)
		}, "launch"},
		"a new worker is asked for what others refused": {func(s *scene) {
			s.connect("w")
			s.offer("w", "")
			s.pass(3 * second)
			s.connect("v")
			s.pass(second)
		}, "launch"},
		"a full worker is not asked": {func(s *scene) {
			s.connect("w")
			s.full("w")
			s.pass(time.Minute)
		}, ""},
		"a worker whose load is 1 is not asked, as by livekit-server": {func(s *scene) {
			s.connect("w")
			s.status("w", livekit.WorkerStatus_WS_AVAILABLE, 1)
			s.pass(time.Minute)
		}, ""},
		"a worker of another name is not asked": {func(s *scene) {
			s.connectAs("w", "key", &livekit.RegisterWorkerRequest{AgentName: "al"})
			s.pass(time.Minute)
		}, ""},
		"a worker of another deployment is not asked": {func(s *scene) {
			s.connectAs("w", "key", &livekit.RegisterWorkerRequest{AgentName: "bo", Deployment: "test"})
			s.pass(time.Minute)
		}, ""},
		"a dispatch to namespaces is left to livekit-server": {func(s *scene) {
			namespace := "old"
			s.connectAs("w", "key", &livekit.RegisterWorkerRequest{AgentName: "bo", Namespace: &namespace})
			s.pass(time.Minute)
		}, ""},
		"a participant that joins is dispatched for by livekit-server first": {func(s *scene) {
			s.connectAs("w", "key", &livekit.RegisterWorkerRequest{AgentName: "bo", Type: livekit.JobType_JT_PARTICIPANT})
			s.pass(time.Minute)
			s.room.targets[livekit.JobType_JT_PARTICIPANT] = []string{"P1"}
			s.pass(second)
			s.giveFor("w", "a", "P1")
			s.pass(time.Minute)
		}, ""},
		"each participant gets its agent when a worker comes late": {func(s *scene) {
			s.room.targets[livekit.JobType_JT_PARTICIPANT] = []string{"P1", "P2"}
			s.pass(time.Minute)
			s.connectAs("w", "key", &livekit.RegisterWorkerRequest{AgentName: "bo", Type: livekit.JobType_JT_PARTICIPANT})
			s.pass(3 * second)
		}, "launch P1, launch P2"},
	} {
		t.Run(rule, func(t *testing.T) {
			s := newScene(t)
			each.play(s)
			s.expect(each.want)
		})
	}
}

func TestAnAgentThatFailsIsAskedForAfterGrowingPauses(t *testing.T) {
	s := newScene(t)
	s.connect("w")
	var pauses []time.Duration
	for turn := range 11 {
		if turn == 9 { // one that has worked begins anew
			s.give("w", "a")
			s.pass(steady + second)
			s.room.present["a"] = Cut
			s.fail("w", fmt.Sprint("J", s.jobs))
		} else {
			s.failAtOnce("w")
		}
		failed := s.now
		for s.did() != "remove a, launch" {
			s.pass(100 * time.Millisecond)
		}
		pauses = append(pauses, s.now.Sub(failed).Round(second))
	}
	if want := []time.Duration{second, second, 2 * second, 4 * second, 8 * second, 16 * second, 30 * second, 30 * second, 30 * second, second, second}; !slices.Equal(pauses, want) {
		t.Errorf("%s, want %s", pauses, want)
	}
}

// A job whose worker is connected to another node, or over WebTransport, is known by its dispatch alone.
func TestAgentsOfWorkersThatAreNotWatched(t *testing.T) {
	for rule, each := range map[string]struct {
		play func(s *scene)
		want string
	}{
		"an agent that is there is not asked for": {func(*scene) {}, ""},
		"one that was cut off is replaced":        {func(s *scene) { s.leaves("a", CutOff) }, "launch"},
		"one that has left is not":                {func(s *scene) { s.leaves("a", Left) }, ""},
		"no worker keeps or ends it": {func(s *scene) {
			s.stillRuns("w", "J9")
			s.fail("w", "J9")
		}, ""},
		"one that a worker refused for good is not asked for": {func(s *scene) {
			s.room.dispatch.State.Jobs = append(s.room.dispatch.State.Jobs, &livekit.Job{
				Id: "J10", DispatchId: s.room.dispatch.Id,
				State: &livekit.JobState{StartedAt: s.now.UnixNano(), Status: livekit.JobStatus_JS_SUCCESS},
			})
			s.pass(second)
			s.leaves("a", CutOff)
		}, ""},
	} {
		t.Run(rule, func(t *testing.T) {
			s := newScene(t)
			s.room.present["a"] = Connected
			s.room.dispatch.State.Jobs = []*livekit.Job{{
				Id: "J9", DispatchId: s.room.dispatch.Id,
				State: &livekit.JobState{ParticipantIdentity: "a", WorkerId: "elsewhere", StartedAt: s.now.UnixNano()},
			}}
			s.pass(time.Minute)
			s.connect("w")
			s.pass(time.Minute)
			s.expect("")
			each.play(s)
			s.pass(3 * second)
			s.expect(each.want)
		})
	}
}

// A worker that comes late is not asked for the agents of all rooms at once.
func TestFewAgentsAreAskedForAtOnce(t *testing.T) {
	s := newScene(t)
	for i := range 49 {
		s.others = append(s.others, s.newRoom(fmt.Sprint("R", i)))
	}
	s.pass(time.Minute)
	s.connect("w")
	for _, room := range s.others {
		room.launching = true
	}
	s.room.launching = true
	s.pass(30 * second)
	asked := 0
	for _, room := range append(s.others, s.room) {
		asked += len(room.acts)
	}
	if asked != atOnce {
		t.Errorf("%d rooms were asked for", asked)
	}
}

// A hub without agents is not looked at: media looks again when something changes.
func TestWithoutWorkersThereIsNothingToLookAt(t *testing.T) {
	s := newScene(t)
	if next := s.book.Look(s.rooms()); next != asleep {
		t.Errorf("looks again after %s", next)
	}
	s.connect("w")
	if next := s.book.Look(s.rooms()); next > usual {
		t.Errorf("looks again after %s", next)
	}
}

// All that the book knows of a room goes with the room.
func TestRoomsThatEndedAreForgotten(t *testing.T) {
	s := newScene(t)
	s.connect("w")
	s.room.targets[livekit.JobType_JT_PARTICIPANT] = []string{"P1"}
	s.connectAs("p", "key", &livekit.RegisterWorkerRequest{AgentName: "bo", Type: livekit.JobType_JT_PARTICIPANT})
	s.give("w", "a")
	s.room.present["a"] = Cut
	s.fail("w", "J1")
	s.pass(time.Minute)
	s.offer("p", "P1")
	s.book.Look(nil)
	s.now = s.now.Add(steady + second)
	s.book.Look(nil)
	b := s.book
	if left := len(b.jobs) + len(b.latest) + len(b.asked) + len(b.refused) + len(b.targets) + len(b.failures); left != 0 {
		t.Errorf("left: jobs %v, latest %v, asked %v, refused %v, targets %v, failures %v", b.jobs, b.latest, b.asked, b.refused, b.targets, b.failures)
	}
}
