package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	agenttoken "github.com/livekit/protocol/agent"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/agents"
	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/participant"
)

// agent is a participant that joined with the token of a job.
type agent struct {
	*participant.Participant
	job    *livekit.JobAssignment
	signal net.Conn
}

// enter makes a participant join with media. With a job it is that job's agent.
func (m keyedMedia) enter(token string) agent {
	m.t.Helper()
	var joined agent
	var err error
	joined.Participant, err = participant.Join(m.t.Context(), participant.Config{
		URL: "ws://127.0.0.1:" + m.port, Token: token, Route: participant.Route{Networks: []webrtc.NetworkType{webrtc.NetworkTypeUDP4}, Loopback: true},
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			joined.signal = conn
			return conn, err
		},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(joined.Close)
	if err := joined.Start(); err != nil {
		m.t.Fatal(err)
	}
	select {
	case <-joined.Subscriber.Connected():
	case <-time.After(enginetest.Patience):
		m.t.Fatal("a participant is not connected")
	}
	return joined
}

// takeJob waits for a worker's job, and joins as its agent.
func (m keyedMedia) takeJob(w worker, why string) agent {
	m.t.Helper()
	select {
	case job := <-w.jobs:
		joined := m.enter(job.Token)
		joined.job = job
		return joined
	case <-time.After(enginetest.Patience):
		m.t.Fatalf("no job: %s", why)
		return agent{}
	}
}

func (m keyedMedia) agentStatus() agents.Status {
	m.t.Helper()
	var status struct {
		Agents agents.Status `json:"agents"`
	}
	text, _ := json.Marshal(enginetest.AskControl(m.t, m.control, "/status"))
	if err := json.Unmarshal(text, &status); err != nil {
		m.t.Fatal(err)
	}
	return status.Agents
}

// expectIn waits until only these participants are in the room.
func (m keyedMedia) expectIn(want int) {
	m.t.Helper()
	enginetest.Eventually(m.t, fmt.Sprint(want, " participants"), func() bool {
		return fmt.Sprint(enginetest.AskControl(m.t, m.control, "/status")["rooms"]) == fmt.Sprintf("[map[name:den participants:%d]]", want)
	})
}

// expectSentAway joins as an agent that may not stay, and waits until only the others are in the room.
func (m keyedMedia) expectSentAway(token string, others int) {
	m.t.Helper()
	late, err := participant.Join(m.t.Context(), participant.Config{URL: "ws://127.0.0.1:" + m.port, Token: token})
	if err != nil {
		m.t.Fatal(err)
	}
	defer late.Close()
	m.expectIn(others)
}

// expectLateJob dispatches an agent to the room and then registers its worker. Until its job is there, media has looked
// at the room several times, over more than two seconds.
func (m keyedMedia) expectLateJob(name string) {
	m.t.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"room": "den", "agent_name": %q}`, name))
	request, _ := http.NewRequest(http.MethodPost, "http://127.0.0.1:"+m.port+"/twirp/livekit.AgentDispatchService/CreateDispatch", body)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+keyedToken(m.t, "APIold", "", auth.VideoGrant{RoomAdmin: true, Room: "den"}))
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		m.t.Fatal(response, err)
	}
	response.Body.Close()
	late := m.register("APIold", name)
	select {
	case <-late.jobs:
	case <-time.After(enginetest.Patience):
		m.t.Fatalf("%s gets no job", name)
	}
}

func (w worker) report(message *livekit.UpdateWorkerStatus) {
	w.send(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_UpdateWorker{UpdateWorker: message}})
}

// A person is in a room all the time. Workers come, lose their connections, and their agents end in every way.
func TestMediaReplacesLostAgents(t *testing.T) {
	m := startKeyedMedia(t, "", "APIold")
	m.enter(keyedToken(t, "APIold", "alice", auth.VideoGrant{RoomJoin: true, Room: "den"}))
	expectAsked := func(want int, what string) {
		t.Helper()
		if status := m.agentStatus(); status.Again != want || len(status.Waiting) != 0 {
			t.Errorf("%s: agents were asked for %d times, want %d; waiting: %v", what, status.Again, want, status.Waiting)
		}
	}

	first := m.register("APIold", "")
	one := m.takeJob(first, "the worker came after the room")
	m.expectIn(2)
	expectAsked(1, "a late worker")

	// The worker's connection alone is cut. The worker comes back, and tells which job it runs.
	second := m.register("APIold", "")
	first.conn.Close()
	m.expectLateJob("late")
	expectAsked(2, "a worker without a connection")
	first = m.register("APIold", "")
	first.send(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_MigrateJob{MigrateJob: &livekit.MigrateJobRequest{JobIds: []string{one.job.Job.Id}}}})
	full, free := livekit.WorkerStatus_WS_FULL, livekit.WorkerStatus_WS_AVAILABLE
	first.report(&livekit.UpdateWorkerStatus{Status: &full})
	enginetest.Eventually(t, "the worker has its job again", func() bool {
		for _, each := range m.agentStatus().Workers {
			if len(each.Jobs) == 1 && each.Jobs[0].ID == one.job.Job.Id && !each.Free {
				return true
			}
		}
		return false
	})

	// The process of the job is killed: its worker says so.
	one.signal.Close()
	first.send(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_UpdateJob{UpdateJob: &livekit.UpdateJobStatus{
		JobId: one.job.Job.Id, Status: livekit.JobStatus_JS_FAILED,
	}}})
	two := m.takeJob(second, "the job has failed")
	m.expectIn(2)
	expectAsked(3, "a job that failed")

	// The worker is killed with all its processes.
	first.report(&livekit.UpdateWorkerStatus{Status: &free})
	two.signal.Close()
	second.conn.Close()
	three := m.takeJob(first, "the worker was killed")
	m.expectIn(2)
	expectAsked(4, "a worker that was killed")

	// The agent that was replaced was not dead after all.
	m.expectSentAway(two.job.Token, 2)

	// The agent leaves on purpose.
	three.Close()
	m.expectLateJob("later")
	expectAsked(5, "an agent that left")
	m.expectIn(1)
	if len(first.jobs) > 0 {
		t.Error("an agent that left is replaced")
	}
}

// An agent whose job was given by a process of media before joins its room again.
func TestMediaKeepsOneAgentInARoomThatItFindsAgain(t *testing.T) {
	m := startKeyedMedia(t, "", "APIold")
	kept := m.enter(keptToken(t, "AJ_kept", "den"))
	m.enter(keyedToken(t, "APIold", "alice", auth.VideoGrant{RoomJoin: true, Room: "den"}))
	w := m.register("APIold", "")
	w.send(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_MigrateJob{MigrateJob: &livekit.MigrateJobRequest{JobIds: []string{"AJ_kept"}}}})
	m.expectLateJob("late")
	if len(w.jobs) > 0 {
		t.Fatal("the room gets a second agent")
	}
	enginetest.Eventually(t, "the worker has the job that it kept", func() bool {
		for _, each := range m.agentStatus().Workers {
			if len(each.Jobs) == 1 && each.Jobs[0].ID == "AJ_kept" {
				return true
			}
		}
		return false
	})

	// It is lost. Another one is called, and then the first one comes after all.
	kept.signal.Close()
	w.send(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_UpdateJob{UpdateJob: &livekit.UpdateJobStatus{
		JobId: "AJ_kept", Status: livekit.JobStatus_JS_FAILED,
	}}})
	m.takeJob(w, "the agent that was kept has failed")
	m.expectIn(2)
	m.expectSentAway(keptToken(t, "AJ_other", "den"), 2)
}

// keptToken is the token of a job's agent, as livekit-server makes it.
func keptToken(t *testing.T, job, room string) string {
	t.Helper()
	token, err := agenttoken.BuildAgentToken("APIold", keySecrets["APIold"], room, "agent-"+job, "", "", map[string]string{"lk.agent_name": ""},
		&livekit.ParticipantPermission{CanPublish: true, CanSubscribe: true})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Its worker registers with the other process, and so gets the jobs of the rooms that begin there.
func TestMediaThatHandsOverLetsItsWorkersGoAndKeepsTheirAgents(t *testing.T) {
	m := startKeyedMedia(t, "", "APIold")
	alice := m.enter(keyedToken(t, "APIold", "alice", auth.VideoGrant{RoomJoin: true, Room: "den"}))
	w := m.register("APIold", "")
	one := m.takeJob(w, "a person is in the room")
	m.expectIn(2)
	response, err := enginetest.ControlClient(m.control).Post("http://control/drain", "application/json", strings.NewReader(`{"seconds": 60, "hand_over": true}`))
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response, err)
	}
	response.Body.Close()
	select {
	case <-w.gone:
	case <-time.After(enginetest.Patience):
		t.Fatal("the worker is still connected")
	}
	m.expectIn(2)
	for who, session := range map[string]agent{"alice": alice, "the agent": one} {
		select {
		case <-session.Ended():
			t.Errorf("%s was cut off", who)
		default:
		}
	}
}
