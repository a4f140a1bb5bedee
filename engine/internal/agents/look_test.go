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

// Each rule is played on a room whose agent "a" of worker "w" has run for a minute as job "J1". Worker "v" is free.
func TestWhenAnAgentIsReplaced(t *testing.T) {
	const again = "remove a, launch"
	for rule, each := range map[string]struct {
		play func(s *scene)
		want string
	}{
		"an agent that is killed with its worker is replaced": {func(s *scene) {
			s.kill("w", "a")
			s.pass(second)
		}, again},
		"a cut signalling connection may come back": {func(s *scene) {
			s.kill("w", "a")
			s.pass(resuming - time.Millisecond)
			s.room.present["a"] = Connected
			s.pass(time.Minute)
		}, ""},
		"a worker for participants does not replace the agent of a room": {func(s *scene) {
			s.cut("v")
			s.connectAs("p", "key", &livekit.RegisterWorkerRequest{AgentName: "bo", Type: livekit.JobType_JT_PARTICIPANT})
			s.kill("w", "a")
			s.pass(time.Minute)
		}, ""},
		"a second cut is a new one": {func(s *scene) {
			s.kill("w", "a")
			s.pass(resuming - 10*time.Millisecond)
			s.room.present["a"] = Connected
			s.pass(second)
			s.room.present["a"] = Cut
			s.pass(resuming - 10*time.Millisecond)
		}, ""},
		"an agent whose worker alone is cut off goes on": {func(s *scene) {
			s.cut("w")
			s.pass(time.Hour)
		}, ""},
		"an agent that leaves after its worker was killed is replaced": {func(s *scene) {
			s.cut("w")
			s.pass(2 * second)
			s.leaves("a", Left)
			s.pass(second)
		}, "launch"},
		"an agent that leaves just before its worker is killed is replaced": {func(s *scene) {
			s.leaves("a", Left)
			s.pass(second)
			s.cut("w")
			s.pass(2 * second)
		}, "launch"},
		"an agent whose process fails is replaced": {func(s *scene) {
			s.room.present["a"] = Cut
			s.fail("w", "J1")
			s.pass(second)
		}, again},
		"an agent whose process fails before it joins is replaced": {func(s *scene) {
			delete(s.room.present, "a")
			s.fail("w", "J1")
			s.pass(2 * second)
		}, "launch"},
		"an agent whose process fails as it leaves is replaced": {func(s *scene) {
			s.leaves("a", Left)
			s.pass(second)
			s.fail("w", "J1")
			s.pass(2 * second)
		}, "launch"},
		"an agent that has left long before its process fails is not": {func(s *scene) {
			s.leaves("a", Left)
			s.pass(reporting + second)
			s.fail("w", "J1")
			s.pass(time.Minute)
		}, ""},
		"an agent that leaves is not replaced": {func(s *scene) {
			s.leaves("a", Left)
			s.succeed("w", "J1")
			s.pass(time.Hour)
		}, ""},
		"nor is it when its worker ends afterwards": {func(s *scene) {
			s.leaves("a", Left)
			s.succeed("w", "J1")
			s.cut("w")
			s.pass(time.Hour)
		}, ""},
		"an agent that an operator removed is not replaced": {func(s *scene) {
			s.leaves("a", Removed)
			s.fail("w", "J1")
			s.pass(time.Hour)
		}, ""},
		"nor is it when it was lost": {func(s *scene) {
			s.cut("w")
			s.leaves("a", Removed)
			s.pass(time.Hour)
		}, ""},
		"an agent that was cut off is replaced": {func(s *scene) {
			s.leaves("a", CutOff)
			s.succeed("w", "J1") // its worker ends it since the server asks for it
			s.pass(2 * second)
		}, "launch"},
		"a cut-off agent that joins again goes on": {func(s *scene) {
			s.leaves("a", CutOff)
			s.pass(joining - time.Millisecond)
			s.room.present["a"] = Connected
			s.pass(time.Hour)
		}, ""},
		"a worker that connects again keeps its jobs": {func(s *scene) {
			s.kill("w", "a")
			s.connect("w2")
			s.stillRuns("w2", "J1")
			s.pass(time.Hour)
		}, ""},
		"a worker that connects again is waited for to say so": {func(s *scene) {
			s.cut("v")
			s.kill("w", "a")
			s.pass(3 * second)
			s.connect("v2")
			s.pass(settling - 10*time.Millisecond)
			s.connect("w2")
			s.pass(settling - 10*time.Millisecond)
			s.stillRuns("w2", "J1")
			s.pass(time.Hour)
		}, ""},
		"a worker that connects again before its old connection ends keeps its jobs": {func(s *scene) {
			s.connect("w2")
			s.stillRuns("w2", "J1")
			s.cut("w")
			s.leaves("a", Left)
			s.pass(time.Hour)
		}, ""},
		"a job that ended well while its worker was away has ended": {func(s *scene) {
			s.cut("w")
			s.connect("w2")
			s.succeed("w2", "J1")
			s.leaves("a", Left)
			s.pass(time.Hour)
		}, ""},
		"a job that was kept can be lost again": {func(s *scene) {
			s.cut("w")
			s.connect("w2")
			s.stillRuns("w2", "J1")
			s.pass(time.Minute)
			s.kill("w2", "a")
			s.pass(second)
		}, again},
		"a job that was replaced can't be kept": {func(s *scene) {
			s.kill("w", "a")
			s.pass(second)
			s.connect("w2")
			s.stillRuns("w2", "J1")
			s.give("v", "b")
			s.pass(second)
			s.kill("w2", "a")
			s.pass(time.Minute)
		}, again + ", remove a"},
		"an agent that was replaced can't come again": {func(s *scene) {
			s.kill("w", "a")
			s.pass(second)
			s.give("v", "b")
			s.room.present["a"] = Connected
			s.pass(2 * second)
		}, again + ", remove a"},
		"agents of one name can't be told apart": {func(s *scene) {
			s.kill("w", "a")
			s.pass(second)
			s.give("v", "a")
			s.pass(time.Minute)
		}, again},
		"no worker but its own ends a job": {func(s *scene) {
			s.connectAs("x", "other key", &livekit.RegisterWorkerRequest{AgentName: "bo"})
			s.room.present["a"] = Cut
			s.fail("x", "J1")
			s.pass(time.Minute)
		}, ""},
		"no worker with another key keeps a job": {func(s *scene) {
			s.kill("w", "a")
			s.connectAs("x", "other key", &livekit.RegisterWorkerRequest{AgentName: "bo"})
			s.stillRuns("x", "J1")
			s.pass(second)
		}, again},
		"no worker of another name keeps a job": {func(s *scene) {
			s.kill("w", "a")
			s.connectAs("x", "key", &livekit.RegisterWorkerRequest{AgentName: "al"})
			s.stillRuns("x", "J1")
			s.pass(second)
		}, again},
		"what comes before a registration is not heard": {func(s *scene) {
			s.workers["x"] = s.book.Connect("127.0.0.1:1", "key")
			s.stillRuns("x", "J1")
			s.fail("x", "J1")
			s.cut("x")
			s.room.present["a"] = Cut
			s.pass(time.Minute)
		}, ""},
		"an agent that may not be restarted is not replaced": {func(s *scene) {
			s.room.dispatch.RestartPolicy = livekit.JobRestartPolicy_JRP_NEVER
			s.kill("w", "a")
			s.pass(time.Hour)
		}, ""},
		"an agent that no worker wants to replace is asked for again": {func(s *scene) {
			s.kill("w", "a")
			s.pass(second)
			s.expect(again)
			s.pass(pausing + 2*second)
		}, "launch"},
		"a lost agent waits for people": {func(s *scene) {
			s.room.targets = nil
			s.kill("w", "a")
			s.pass(time.Minute)
			s.expect("")
			s.room.targets = map[livekit.JobType][]string{livekit.JobType_JT_ROOM: {""}}
			s.pass(2 * second)
		}, again},
	} {
		t.Run(rule, func(t *testing.T) {
			s := newScene(t)
			s.connect("w")
			s.give("w", "a")
			s.connect("v")
			s.pass(steady + second)
			s.expect("")
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
