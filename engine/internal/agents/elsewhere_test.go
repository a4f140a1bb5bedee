package agents

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
)

// pair is a scene whose workers are connected to another process, after the one that has the room has handed over.
type pair struct {
	*scene
	other *Book
}

func newPair(t *testing.T) *pair {
	s := newScene(t)
	p := &pair{s, NewBook(func() time.Time { return s.now })}
	s.connectsTo = p.other
	return p
}

func TestEndsOfJobsAreForgottenWhereNoOtherProcessIsTold(t *testing.T) {
	s := newScene(t)
	s.connect("w")
	for range 1000 {
		s.succeed("w", "job")
		s.now = s.now.Add(second)
	}
	if kept := len(s.book.ends); kept > int(steady/second)+1 {
		t.Errorf("%d ends of jobs are kept", kept)
	}
}

// hear has the room's process hear what the other one tells, as over Redis.
func (p *pair) hear() {
	p.t.Helper()
	var told Told
	text, err := json.Marshal(p.other.Tell())
	if err == nil {
		err = json.Unmarshal(text, &told)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.book.Hear("other", told)
	p.book.Hear("other", told) // it tells the same each second
}

// passHearing is pass, while the other one tells.
func (p *pair) passHearing(how time.Duration) {
	for range how / second {
		p.hear()
		p.pass(second)
	}
	p.hear()
	p.pass(how % second)
}

func TestRoomHasItsAgentFromAWorkerOfAnotherProcess(t *testing.T) {
	for rule, each := range map[string]struct {
		play func(p *pair)
		want string
	}{
		"a worker that is there before the room lacks one is asked": {func(p *pair) {
			p.connect("w")
			p.passHearing(3 * second)
		}, "launch"},
		"so is one that comes late": {func(p *pair) {
			p.passHearing(time.Minute)
			p.connect("w")
			p.passHearing(second)
		}, "launch"},
		"one that is full is not": {func(p *pair) {
			p.connect("w")
			p.full("w")
			p.passHearing(time.Minute)
		}, ""},
		"it is once it has a place": {func(p *pair) {
			p.connect("w")
			p.full("w")
			p.passHearing(time.Minute)
			p.free("w")
			p.passHearing(second)
		}, "launch"},
		"one of another name is not": {func(p *pair) {
			p.connectAs("w", "key", &livekit.RegisterWorkerRequest{AgentName: "al"})
			p.passHearing(time.Minute)
		}, ""},
		"an agent that it gave is not asked for again": {func(p *pair) {
			p.connect("w")
			p.give("w", "a")
			p.passHearing(time.Minute)
		}, ""},
		"nor is one whose room was begun long ago": {func(p *pair) {
			p.connect("w")
			p.give("w", "a")
			p.passHearing(time.Hour)
			p.other.Look(nil) // the room is none of its own
			p.passHearing(time.Minute)
			p.cut("w")
			p.connect("w2")
			p.stillRuns("w2", "J1")
			p.passHearing(time.Minute)
		}, ""},
		"a job that failed is replaced": {func(p *pair) {
			p.connect("w")
			job := p.give("w", "a")
			p.passHearing(second)
			p.room.present["a"] = Cut
			p.fail("w", job)
			p.passHearing(second)
		}, "remove a, launch"},
		"also where it failed before its room knew of it": {func(p *pair) {
			p.connect("w")
			job := p.give("w", "a")
			p.room.present["a"] = Cut
			p.fail("w", job)
			p.passHearing(3 * second)
		}, "remove a, launch"},
		"one that ended is not": {func(p *pair) {
			p.connect("w")
			job := p.give("w", "a")
			p.passHearing(second)
			p.succeed("w", job)
			delete(p.room.present, "a")
			p.passHearing(time.Minute)
		}, ""},
		"a worker that is killed is replaced": {func(p *pair) {
			p.connect("w")
			p.connect("x")
			p.give("w", "a")
			p.passHearing(second)
			p.kill("w", "a")
			p.passHearing(2 * second)
		}, "remove a, launch"},
		"a worker that has lost its connection alone is not": {func(p *pair) {
			p.connect("w")
			p.connect("x")
			p.give("w", "a")
			p.passHearing(second)
			p.cut("w")
			p.passHearing(time.Minute)
		}, ""},
		"a process that is not heard keeps its agents": {func(p *pair) {
			p.connect("w")
			p.give("w", "a")
			p.passHearing(second)
			p.room.present["a"] = Cut // Redis is gone, through which its signalling goes
			p.pass(time.Minute)
			p.passHearing(time.Minute)
		}, ""},
	} {
		t.Run(rule, func(t *testing.T) {
			p := newPair(t)
			each.play(p)
			p.expect(each.want)
		})
	}
}

// Its workers were connected to the process that has the room, which hands over.
func TestAgentsAreKeptWhenTheirWorkersGoToAnotherProcess(t *testing.T) {
	for rule, each := range map[string]struct {
		play func(p *pair)
		want string
	}{
		"its agent goes on": {func(p *pair) { p.passHearing(time.Hour) }, ""},
		"its agent fails": {func(p *pair) {
			p.passHearing(second)
			p.room.present["a"] = Cut
			p.fail("w2", "J1")
			p.passHearing(second)
		}, "remove a, launch"},
		"its worker is killed": {func(p *pair) {
			p.connect("x")
			p.passHearing(second)
			p.kill("w2", "a")
			p.passHearing(2 * second)
		}, "remove a, launch"},
		"its agent leaves": {func(p *pair) {
			p.passHearing(second)
			p.leaves("a", Left)
			p.succeed("w2", "J1")
			p.passHearing(time.Minute)
		}, ""},
	} {
		t.Run(rule, func(t *testing.T) {
			p := newPair(t)
			p.connectsTo = p.book
			p.connect("w")
			p.give("w", "a")
			p.pass(time.Hour)
			p.cut("w")
			p.connectsTo = p.other
			p.pass(second)
			p.connect("w2")
			p.stillRuns("w2", "J1")
			each.play(p)
			p.expect(each.want)
		})
	}
}

func TestStatusHasJobsOfWorkersOfAnotherProcess(t *testing.T) {
	p := newPair(t)
	p.connect("w")
	p.give("w", "a")
	p.passHearing(time.Hour)
	told := p.book.Status(p.rooms())
	if len(told.Workers) != 1 || told.Workers[0].ID != "w" || len(told.Workers[0].Jobs) != 1 {
		t.Error(told)
	}
	p.pass(silence + second)
	if told := p.book.Status(p.rooms()); len(told.Workers) != 0 {
		t.Error("a process that is not heard any more has workers", told)
	}
	if len(p.other.Tell().Workers) != 1 || len(p.book.Tell().Workers) != 0 {
		t.Error("a process tells of other workers than its own")
	}
}

func TestJobsThatEndedElsewhereAreForgotten(t *testing.T) {
	p := newPair(t)
	p.connect("w")
	for range 10 {
		job := p.give("w", "a")
		p.hear()
		p.succeed("w", job)
		p.hear()
	}
	if got := len(p.book.claims); got > 0 {
		t.Errorf("a process of media keeps %d jobs that have ended elsewhere", got)
	}
}

func TestNoAgentIsAskedForWhileNoWorkerCanBeReached(t *testing.T) {
	for rule, each := range map[string]struct {
		play func(s *scene)
		want string
	}{
		"an agent that is killed is replaced once one can": {func(s *scene) {
			s.book.Hold()
			s.kill("w", "a")
			s.pass(time.Minute)
			s.expect("")
			s.book.AskAgain()
			s.pass(0)
		}, "remove a, launch"},
		"so is one whose process fails": {func(s *scene) {
			s.book.Hold()
			s.room.present["a"] = Cut
			s.fail("w", "J1")
			s.pass(time.Minute)
			s.expect("")
			s.book.AskAgain()
			s.pass(0)
		}, "remove a, launch"},
		"one that goes on is not": {func(s *scene) {
			s.book.Hold()
			s.cut("w")
			s.pass(time.Minute)
			s.book.AskAgain()
			s.pass(time.Minute)
		}, ""},
		"one that was asked for in vain is asked for at once": {func(s *scene) {
			s.kill("w", "a")
			s.pass(second)
			s.expect("remove a, launch")
			s.book.Hold()
			s.pass(time.Minute)
			s.expect("")
			s.book.AskAgain()
			s.pass(0)
		}, "launch"},
		"one that was asked for just before, after its launch": {func(s *scene) {
			s.kill("w", "a")
			s.pass(resuming)
			s.expect("remove a, launch")
			s.room.launching = true
			s.book.Hold()
			s.book.AskAgain()
			s.pass(2 * second)
			s.expect("")
			s.room.launching = false
			s.pass(0)
		}, "launch"},
		"in vain once more, without a pause": {func(s *scene) {
			s.book.Hold()
			s.kill("w", "a")
			s.pass(second)
			s.book.AskAgain()
			s.pass(0)
			s.expect("remove a, launch")
			s.pass(second)
		}, "launch"},
		"but not for long": {func(s *scene) {
			s.book.Hold()
			s.kill("w", "a")
			s.pass(second)
			s.book.AskAgain()
			s.pass(reaching + second)
			s.did()
			s.pass(pausing - second)
		}, ""},
	} {
		t.Run(rule, func(t *testing.T) {
			s := newScene(t)
			s.connect("w")
			s.give("w", "a")
			s.connect("v")
			s.pass(steady + second)
			each.play(s)
			s.expect(each.want)
		})
	}
}

func TestRoomIsNotKeptWaitingWhenProcessesReachEachOtherAgain(t *testing.T) {
	s := newScene(t)
	s.connect("w")
	s.pass(2 * second)
	s.expect("launch") // which reaches no worker
	s.pass(2 * second)
	s.expect("")
	s.book.AskAgain()
	s.pass(0)
	s.expect("launch")
}
