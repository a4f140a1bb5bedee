package agents

import (
	"cmp"
	"slices"
	"time"

	"github.com/livekit/protocol/livekit"
)

// Why a room waits for an agent.
const (
	NoWorker = "no-worker" // none of that name is connected
	Full     = "full"      // each of them says that it takes no more, or drains
	Refused  = "refused"   // each of them was asked a moment ago and did not take the job
	Failing  = "failing"   // the last ones ended by themselves, and the next one comes after a pause
)

// Waiting is a room that lacks an agent, once for each agent. Since is in seconds of the epoch, as in all of
// Status.
type Waiting struct {
	Room   string  `json:"room"`
	Agent  string  `json:"agent"`
	Reason string  `json:"reason"`
	Since  float64 `json:"since"`
}

// Job is a job that a worker runs.
type Job struct {
	ID       string  `json:"id"`
	Room     string  `json:"room"`
	Identity string  `json:"identity"`
	Since    float64 `json:"since"`
}

// Worker is a worker that is connected. Kind is room, publisher or participant; Load is what the worker says, from 0 to
// 1; Address is where its connection comes from, "host:port".
type Worker struct {
	ID       string  `json:"id"`
	Agent    string  `json:"agent"`
	Kind     string  `json:"kind"`
	Free     bool    `json:"free"`
	Draining bool    `json:"draining"`
	Load     float32 `json:"load"`
	Address  string  `json:"address"`
	Since    float64 `json:"since"`
	Jobs     []Job   `json:"jobs"`
}

// Status has the workers, the longest connected first, the rooms that lack an agent, the longest waiting first, and how often an agent was asked
// for again since media started.
type Status struct {
	Workers []Worker  `json:"workers"`
	Waiting []Waiting `json:"waiting"`
	Again   int       `json:"again"`
}

var kindNames = map[livekit.JobType]string{
	livekit.JobType_JT_ROOM: "room", livekit.JobType_JT_PUBLISHER: "publisher", livekit.JobType_JT_PARTICIPANT: "participant",
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// Status tells what is known now of these rooms, and asks for no agent.
func (b *Book) Status(rooms []Room) Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	told := Status{Workers: []Worker{}, Waiting: []Waiting{}, Again: b.again}
	for _, n := range b.needs(rooms) {
		if found := b.judge(n); found.reason != "" {
			told.Waiting = append(told.Waiting, Waiting{n.room.Name(), n.dispatch.GetAgentName(), found.reason, seconds(found.since)})
		}
	}
	slices.SortFunc(told.Waiting, func(x, y Waiting) int {
		return cmp.Or(cmp.Compare(x.Since, y.Since), cmp.Compare(x.Room, y.Room), cmp.Compare(x.Agent, y.Agent))
	})
	for _, w := range b.workers {
		jobs := []Job{}
		for _, j := range b.jobs {
			if j.worker == w.id && j.state == running {
				jobs = append(jobs, Job{j.id, j.room, j.identity, seconds(j.since)})
			}
		}
		slices.SortFunc(jobs, func(x, y Job) int { return cmp.Or(cmp.Compare(x.Since, y.Since), cmp.Compare(x.ID, y.ID)) })
		told.Workers = append(told.Workers, Worker{
			w.id, w.name, kindNames[w.kind], w.isFree(), w.draining, w.load, w.address, seconds(w.since), jobs,
		})
	}
	slices.SortFunc(told.Workers, func(x, y Worker) int {
		return cmp.Or(cmp.Compare(x.Since, y.Since), cmp.Compare(x.ID, y.ID))
	})
	return told
}
