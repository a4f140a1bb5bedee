package agents

import (
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
)

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
