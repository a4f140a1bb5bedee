package agents

import (
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
)

// An agent outlives the process that gave it its job, and joins its room again. The room and its dispatch are new, and
// livekit-server may have called another agent meanwhile.
func TestRoomHasOneAgentAfterMediaWasReplaced(t *testing.T) {
	const kept = "keep a job from w"
	for rule, each := range map[string]struct {
		play func(s *scene)
		want string
	}{
		"an agent that comes first keeps its place": {func(s *scene) {
			s.join("agent-J9")
			s.offer("w", "")
		}, kept},
		"also where the job was offered a moment ago": {func(s *scene) {
			job := s.offer("w", "")
			s.join("agent-J9")
			s.send("w", &livekit.ServerMessage{Message: &livekit.ServerMessage_Assignment{Assignment: &livekit.JobAssignment{Job: job}}})
		}, kept},
		"also where no worker is there yet": {func(s *scene) {
			s.cut("w")
			s.join("agent-J9")
			s.pass(time.Minute)
			s.connect("w2")
			s.pass(time.Minute)
		}, ""},
		"also where it is the first in its room, and another was called at once": {func(s *scene) {
			s.room.targets[livekit.JobType_JT_ROOM] = nil
			s.give("w", "agent-J1")
			delete(s.room.present, "agent-J1")
			s.join("agent-J9")
			s.join("agent-J1")
			s.room.targets[livekit.JobType_JT_ROOM] = []string{""}
		}, "remove agent-J1"},
		"one that came before it was known what workers there are, and others came too": {func(s *scene) {
			s.cut("w")
			s.room.targets[livekit.JobType_JT_PARTICIPANT] = []string{"P1"}
			s.join("agent-J9")
			s.connectAs("p", "key", &livekit.RegisterWorkerRequest{AgentName: "bo", Type: livekit.JobType_JT_PARTICIPANT})
			s.offer("p", "P1")
		}, "keep a job from p"},
		"one that was called and is not there yet makes room": {func(s *scene) {
			s.give("w", "agent-J1")
			delete(s.room.present, "agent-J1")
			s.join("agent-J9")
			s.pass(second)
			s.join("agent-J1")
		}, "remove agent-J1"},
		"an agent that comes later finds its place taken": {func(s *scene) {
			s.give("w", "agent-J1")
			s.join("agent-J1")
			s.pass(second)
			s.join("agent-J9")
		}, "remove agent-J9"},
		"also where the other one's network is interrupted": {func(s *scene) {
			s.give("w", "agent-J1")
			s.room.present["agent-J1"] = Cut
			s.join("agent-J9")
		}, "remove agent-J9"},
		"two of them don't share a place": {func(s *scene) {
			s.join("agent-J8")
			s.join("agent-J9")
		}, "remove agent-J9"},
		"one whose place is free again takes it": {func(s *scene) {
			s.give("w", "agent-J1")
			s.room.present["agent-J1"] = Cut
			s.fail("w", "J1")
			s.join("agent-J9")
			s.pass(time.Minute)
		}, "remove agent-J1"},
		"one that is lost is replaced": {func(s *scene) {
			s.join("agent-J9")
			s.leaves("agent-J9", CutOff)
		}, "launch"},
		"one whose worker ends is replaced": {func(s *scene) {
			s.connect("w2")
			s.stillRuns("w2", "J9")
			s.join("agent-J9")
			s.pass(second)
			s.kill("w2", "agent-J9")
		}, "remove agent-J9, launch"},
		"one whose worker comes later and ends is replaced": {func(s *scene) {
			s.join("agent-J9")
			s.pass(second)
			s.connect("w2")
			s.stillRuns("w2", "J9")
			s.kill("w2", "agent-J9")
		}, "remove agent-J9, launch"},
		"one that leaves stays away": {func(s *scene) {
			s.join("agent-J9")
			s.leaves("agent-J9", Left)
		}, ""},
		"an agent of another name has another place": {func(s *scene) {
			s.give("w", "agent-J1")
			if !s.book.Joined(s.room, "agent-J9", "cy") {
				s.room.acts = append(s.room.acts, "refuse")
			}
		}, ""},
		"one for a participant takes the participant's place": {func(s *scene) {
			s.room.targets[livekit.JobType_JT_PARTICIPANT] = []string{"P1"}
			s.connectAs("p", "key", &livekit.RegisterWorkerRequest{AgentName: "bo", Type: livekit.JobType_JT_PARTICIPANT})
			s.give("w", "agent-J1")
			s.join("agent-J9")
			s.offer("p", "P1")
		}, "keep a job from p"},
	} {
		t.Run(rule, func(t *testing.T) {
			s := newScene(t)
			s.connect("w")
			each.play(s)
			s.pass(5 * second)
			s.expect(each.want)
		})
	}
}

// What a worker says of its jobs is told with it.
func TestWorkerHasTheJobThatItKept(t *testing.T) {
	s := newScene(t)
	s.connect("w")
	s.stillRuns("w", "J9")
	s.join("agent-J9")
	s.pass(second)
	told := s.book.Status(s.rooms()).Workers
	if len(told) != 1 || len(told[0].Jobs) != 1 || told[0].Jobs[0].Identity != "agent-J9" || told[0].Jobs[0].Room != s.room.Name() {
		t.Errorf("told %+v", told)
	}
}

// The code of an agent may choose one identity for all rooms.
func TestAgentsOfOneIdentityHaveAPlaceEach(t *testing.T) {
	s := newScene(t)
	s.connect("w")
	first, other := s.room, s.newRoom("R2")
	s.join("bot")
	s.room, s.others = other, []*fakeRoom{first}
	s.join("bot")
	s.room, s.others = first, []*fakeRoom{other}
	s.pass(second)
	s.join("bot") // once more, as after an interruption
	s.pass(second)
	s.expect("")
	s.leaves("bot", CutOff)
	s.pass(5 * second)
	s.expect("launch")
}
