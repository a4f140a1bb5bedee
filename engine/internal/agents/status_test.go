package agents

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
)

// Each rule is played on a room that began an hour ago and has no agent.
func TestWhyARoomWaits(t *testing.T) {
	for rule, each := range map[string]struct {
		play func(s *scene)
		want string
	}{
		"no worker is there":                                    {func(*scene) {}, "name of R bo no-worker 1h0m0s"},
		"only workers of other names are":                       {func(s *scene) { s.connectAs("w", "key", &livekit.RegisterWorkerRequest{}) }, "name of R bo no-worker 1h0m0s"},
		"a room that any agent may enter does not wait for one": {func(s *scene) { s.room.dispatch.AgentName = "" }, ""},
		"it does if it has lost one": {func(s *scene) {
			s.room.dispatch.AgentName = ""
			s.connectAs("w", "key", &livekit.RegisterWorkerRequest{})
			s.give("w", "a")
			s.kill("w", "a")
			s.waits() // sees that the agent is cut off
			s.now = s.now.Add(time.Minute)
		}, "name of R  no-worker 1m0s"},
		"the workers are full": {func(s *scene) {
			s.connect("w")
			s.full("w")
		}, "name of R bo full 1h0m0s"},
		"no worker takes it": {func(s *scene) {
			s.connect("w")
			s.offer("w", "")
			s.pass(3 * second)
		}, "name of R bo refused 1h0m3s"},
		"its agents end by themselves": {func(s *scene) {
			s.connect("w")
			for range 4 {
				s.failAtOnce("w")
				s.pass(4 * second)
			}
			s.failAtOnce("w")
			s.pass(second)
		}, "name of R bo failing 1s"},
		"it does not while it is asked for": {func(s *scene) {
			s.connect("w")
			s.pass(second)
			s.expect("launch")
		}, ""},
		"it does not while it has its agent": {func(s *scene) {
			s.connect("w")
			s.give("w", "a")
		}, ""},
	} {
		t.Run(rule, func(t *testing.T) {
			s := newScene(t)
			s.pass(time.Hour)
			each.play(s)
			s.expectWaits(each.want)
		})
	}
}

func TestStatusHasWorkersWithTheirJobs(t *testing.T) {
	s := newScene(t)
	s.connect("w")
	s.pass(second)
	publisher := &livekit.RegisterWorkerRequest{AgentName: "al", Type: livekit.JobType_JT_PUBLISHER}
	s.connectAs("x", "key", publisher)
	s.give("w", "a")
	s.full("w")
	s.connectAs("gone", "key", publisher)
	s.cut("gone")
	text, _ := json.Marshal(s.book.Status(s.rooms()))
	const want = `{"workers":[` +
		`{"id":"w","agent":"bo","kind":"room","free":false,"draining":false,"load":0.9,"address":"127.0.0.1:1","since":1800000000,` +
		`"jobs":[{"id":"J1","room":"name of R","identity":"a","since":1800000001}]},` +
		`{"id":"x","agent":"al","kind":"publisher","free":true,"draining":false,"load":0,"address":"127.0.0.1:1","since":1800000001,"jobs":[]}` +
		`],"waiting":[],"again":0}`
	if string(text) != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}

// A worker is other people's code. The status of media has everything else that is known of a hub in it, too.
func TestNoNumberOfAWorkerKeepsOthersFromBeingTold(t *testing.T) {
	for _, load := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32} {
		s := newScene(t)
		s.connect("w")
		s.status("w", livekit.WorkerStatus_WS_AVAILABLE, float32(load))
		if _, err := json.Marshal(s.book.Status(s.rooms())); err != nil {
			t.Errorf("status with load %v: %v", load, err)
		}
		if _, err := json.Marshal(s.book.Tell()); err != nil {
			t.Errorf("what other processes are told with load %v: %v", load, err)
		}
	}
}
