package agents

import (
	"maps"
	"slices"
	"time"

	"github.com/livekit/protocol/livekit"
)

// Told is what a process of media tells the others that share its Redis: its workers, each time all of them. A room of
// one process may have an agent of a worker that is connected to another, as after media has handed over.
type Told struct {
	Workers []ToldWorker `json:"workers"`
	Ended   []ToldEnd    `json:"ended"` // of the last minute
}

// ToldWorker is a worker that is connected to the process that tells. Jobs are those that it runs, in rooms of any process.
type ToldWorker struct {
	ID         string   `json:"id"`
	Key        string   `json:"key"` // the ID of its API key
	Agent      string   `json:"agent"`
	Deployment string   `json:"deployment"`
	Namespace  string   `json:"namespace"`
	Kind       int32    `json:"kind"`
	Address    string   `json:"address"`
	Status     int32    `json:"status"`
	Load       float32  `json:"load"`
	Draining   bool     `json:"draining"`
	Since      int64    `json:"since"` // in microseconds of the epoch
	Jobs       []string `json:"jobs"`
}

// ToldEnd is what a worker said of the end of a job.
type ToldEnd struct {
	Job    string `json:"job"`
	Worker string `json:"worker"`
	Status int32  `json:"status"`
}

type end struct {
	ToldEnd
	at time.Time
}

// silence is how long a process may not be heard whose workers count as connected. It tells each second.
const silence = 5 * time.Second

// Telling gets a value after something has changed that Tell says.
func (b *Book) Telling() <-chan struct{} { return b.telling }

func (b *Book) notifyOthers() {
	select {
	case b.telling <- struct{}{}:
	default:
	}
}

// Tell says what other processes have to know.
func (b *Book) Tell() Told {
	b.mu.Lock()
	defer b.mu.Unlock()
	told := Told{Workers: []ToldWorker{}, Ended: []ToldEnd{}}
	jobs := map[string][]string{}
	for job, worker := range b.claims {
		jobs[worker] = append(jobs[worker], job)
	}
	for _, w := range b.workers {
		if w.node == "" {
			told.Workers = append(told.Workers, ToldWorker{
				w.id, w.apiKey, w.name, w.deployment, w.namespace, int32(w.kind), w.address,
				int32(w.status), w.load, w.draining, w.since.UnixMicro(), jobs[w.id],
			})
		}
	}
	b.forgetEnds()
	for _, each := range b.ends {
		told.Ended = append(told.Ended, each.ToldEnd)
	}
	return told
}

// Hold has no agent asked for until AskAgain, since no worker can be reached.
func (b *Book) Hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = true
}

// AskAgain has agents asked for at once that no worker could be asked for, since the processes of media did not reach each
// other.
func (b *Book) AskAgain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held, b.reached = false, b.now()
	clear(b.refused)
	b.notify()
	b.notifyOthers()
}

// wasReached tells whether workers were surely reached by what was asked at this time.
func (b *Book) wasReached(at time.Time) bool { return at.Sub(b.reached) > reaching }

// noteEnd needs b.mu.
func (b *Book) noteEnd(told ToldEnd) {
	b.forgetEnds() // here too: without Redis, Tell is never called
	b.ends = append(b.ends, end{told, b.now()})
}

func (b *Book) forgetEnds() {
	for len(b.ends) > 0 && b.now().Sub(b.ends[0].at) > steady {
		b.ends = b.ends[1:]
	}
}

// Hear takes what another process has told. Hearing the same again changes nothing.
func (b *Book) Hear(node string, told Told) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard[node] = b.now()
	there := map[string]bool{}
	for _, each := range told.Workers {
		there[each.ID] = true
		b.hearWorker(node, each)
	}
	for _, each := range told.Ended {
		if w := b.workers[each.Worker]; w != nil && w.node == node {
			b.endJob(each.Worker, each.Job, livekit.JobStatus(each.Status))
		}
	}
	b.dropFrom(node, there) // last: a worker has another ID on each connection, and keeps its jobs
}

func (b *Book) hearWorker(node string, told ToldWorker) {
	w := b.workers[told.ID]
	if w == nil {
		w = &worker{
			origin: origin{told.Key, told.Agent, told.Deployment, livekit.JobType(told.Kind)},
			id:     told.ID, node: node, namespace: told.Namespace, address: told.Address, since: time.UnixMicro(told.Since),
		}
		b.add(w)
		for _, j := range b.jobs { // it was adopted before its worker was heard of
			if j.worker == w.id {
				j.by = w.origin
			}
		}
	}
	b.change(w, livekit.WorkerStatus(told.Status), told.Load, told.Draining)
	maps.DeleteFunc(b.claims, func(job, worker string) bool { return worker == told.ID && !slices.Contains(told.Jobs, job) })
	b.keep(told.ID, told.Jobs)
}

// dropFrom takes the end of the connections of a process's workers, but for some.
func (b *Book) dropFrom(node string, but map[string]bool) {
	for id, w := range maps.Clone(b.workers) {
		if w.node == node && !but[id] {
			b.drop(id)
		}
	}
}

// dropSilent takes the end of the processes that are not heard any more.
func (b *Book) dropSilent() {
	for node, at := range b.heard {
		if b.now().Sub(at) > silence {
			b.dropFrom(node, nil)
			delete(b.heard, node)
		}
	}
}
