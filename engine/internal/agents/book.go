// Package agents knows the agent workers that are connected to media and the jobs that they were given. It finds the
// rooms that lack an agent and asks for one again, which livekit-server does not do: it dispatches once, when a room or
// a participant begins, and forgets a job whose worker is gone (agenthandler.go, deregisterJob).
package agents

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
)

// Book has the workers that are connected, and their jobs.
type Book struct {
	mu       sync.Mutex
	now      func() time.Time
	workers  map[string]*worker
	jobs     map[string]*job
	latest   map[key]*job      // the last one that was given
	asked    map[key]time.Time // when an agent was asked for, until a worker has the job or none has taken it
	refused  map[key]time.Time // when none took it
	targets  map[key]time.Time // when Look first saw the participant of such a job
	failures map[key]*failures
	strays   []stray           // those that have no place yet
	claims   map[string]string // the worker of each job that a worker was given here, or says that it runs
	ends     []end
	heard    map[string]time.Time // when another process last told of its workers
	again    int
	held     bool      // no worker can be reached
	reached  time.Time // since when workers can be reached again; the zero time: they always could
	changed  chan struct{}
	telling  chan struct{}
}

// key is what an agent is for: a dispatch of a room, and for jobs of one participant also its SID.
type key struct {
	dispatch string
	kind     livekit.JobType
	target   string
}

func keyOf(j *livekit.Job) key { return key{j.DispatchId, j.Type, j.GetParticipant().GetSid()} }

// origin is what a worker has in common with itself on an earlier connection.
type origin struct {
	apiKey, name, deployment string
	kind                     livekit.JobType
}

type worker struct {
	origin
	id, namespace, address string
	node                   string // "": it is connected to this process
	status                 livekit.WorkerStatus
	load                   float32
	draining               bool
	since                  time.Time
}

// isFree: livekit-server gives no job to a worker whose load is 1 (agenthandler.go, selectWorkerWeightedByLoad).
func (w *worker) isFree() bool {
	return w.status == livekit.WorkerStatus_WS_AVAILABLE && w.load < 1 && !w.draining
}

func (w *worker) isFor(dispatch *livekit.AgentDispatch) bool {
	return w.name == dispatch.GetAgentName() && w.deployment == dispatch.GetDeployment()
}

type jobState int

const (
	running  jobState = iota
	ended             // its agent has left its room, and its worker has not said yet whether it failed
	lost              // its agent is gone, or soon will be, and was not meant to
	replaced          // it was lost, and another one was asked for
	done              // it was meant to end
)

type job struct {
	id, room, roomID, identity, worker string
	by                                 origin // the zero value: its worker's connection is not watched
	key                                key
	state                              jobState
	mayGoOn                            bool // if lost: its worker's connection is gone, and nothing else is known
	stray                              bool // it was given by a process before this one
	since, endedAt, lostAt, cutAt      time.Time
}

type failures struct {
	count int
	next  time.Time
}

// NewBook returns an empty book.
func NewBook(now func() time.Time) *Book {
	return &Book{
		now: now, workers: map[string]*worker{}, jobs: map[string]*job{}, latest: map[key]*job{}, asked: map[key]time.Time{},
		refused: map[key]time.Time{}, targets: map[key]time.Time{}, failures: map[key]*failures{}, claims: map[string]string{},
		heard: map[string]time.Time{}, changed: make(chan struct{}, 1), telling: make(chan struct{}, 1),
	}
}

// Changed gets a value after something has changed that may let a room have its agent.
func (b *Book) Changed() <-chan struct{} { return b.changed }

func (b *Book) notify() {
	select {
	case b.changed <- struct{}{}:
	default: // one look is enough for several changes
	}
}

func (b *Book) register(id, address, apiKey string, asked *livekit.RegisterWorkerRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(&worker{
		origin: origin{apiKey, asked.GetAgentName(), asked.GetDeployment(), asked.GetType()},
		id:     id, namespace: asked.GetNamespace(), address: address, since: b.now(),
	})
	b.notifyOthers()
}

// add needs b.mu.
func (b *Book) add(w *worker) {
	b.workers[w.id] = w
	clear(b.refused)
	b.notify()
}

func (b *Book) updateWorker(id string, told *livekit.UpdateWorkerStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.workers[id]
	status := w.status
	if told.Status != nil {
		status = told.GetStatus()
	}
	b.change(w, status, told.GetLoad(), told.GetDraining())
	b.notifyOthers()
}

// change needs b.mu.
func (b *Book) change(w *worker, status livekit.WorkerStatus, load float32, draining bool) {
	was := w.isFree()
	switch { // JSON has no such numbers; livekit-server gives no job to a worker whose load is not below 1
	case math.IsInf(float64(load), -1):
		load = 0
	case math.IsNaN(float64(load)), math.IsInf(float64(load), 1):
		load = 1
	}
	w.status, w.load, w.draining = status, load, draining
	if w.isFree() && !was { // a worker that was full takes what it had refused
		clear(b.refused)
		b.notify()
	}
}

// offer tells whether the job may be offered to a worker.
func (b *Book) offer(offered *livekit.Job) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if offered.GetDispatchId() == "" { // a job that a worker simulates has none
		return true
	}
	if b.isTaken(offered) {
		return false
	}
	b.asked[keyOf(offered)] = b.now()
	return true
}

// assign tells whether the job may be given to the worker.
func (b *Book) assign(id string, given *livekit.Job) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if given.GetDispatchId() == "" {
		return true
	}
	if b.isTaken(given) {
		return false
	}
	j := &job{
		id: given.Id, room: given.GetRoom().GetName(), roomID: given.GetRoom().GetSid(),
		identity: given.GetState().GetParticipantIdentity(), worker: id, by: b.workers[id].origin, key: keyOf(given), since: b.now(),
	}
	for _, other := range b.jobs { // agents of one name can't be told apart
		if other.state == replaced && other.roomID == j.roomID && other.identity == j.identity {
			other.identity = ""
		}
	}
	b.jobs[j.id], b.latest[j.key], b.claims[j.id] = j, j, id
	delete(b.asked, j.key)
	delete(b.refused, j.key)
	b.notify() // the next one of many is asked for
	b.notifyOthers()
	return true
}

// adopt takes a job that was given elsewhere: its worker is connected to another process, or over WebTransport, where it
// is not watched.
func (b *Book) adopt(room Room, given *livekit.Job) {
	j := &job{
		id: given.GetId(), room: room.Name(), roomID: room.ID(), identity: given.GetState().GetParticipantIdentity(),
		worker: given.GetState().GetWorkerId(), key: keyOf(given), since: time.Unix(0, given.GetState().GetStartedAt()),
	}
	if w := b.workers[cmp.Or(b.claims[j.id], j.worker)]; w != nil {
		j.worker, j.by = w.id, w.origin
	}
	if given.GetState().GetStatus() == livekit.JobStatus_JS_SUCCESS { // a worker refused it for good
		j.state = done
	}
	b.jobs[j.id] = j
	if last := b.latest[j.key]; last == nil || last.since.Before(j.since) {
		b.latest[j.key] = j
		delete(b.asked, j.key)
	}
}

// updateJob takes what a worker says of its own job, or of one that it had before it connected again.
func (b *Book) updateJob(id string, told *livekit.UpdateJobStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if isEnd(told.GetStatus()) {
		delete(b.claims, told.GetJobId())
		b.noteEnd(ToldEnd{told.GetJobId(), id, int32(told.GetStatus())})
		b.notifyOthers()
	}
	b.endJob(id, told.GetJobId(), told.GetStatus())
}

func isEnd(status livekit.JobStatus) bool {
	return status == livekit.JobStatus_JS_SUCCESS || status == livekit.JobStatus_JS_FAILED
}

// endJob needs b.mu.
func (b *Book) endJob(id, job string, status livekit.JobStatus) {
	j := b.jobs[job]
	if j == nil || (j.worker != id && !b.isOf(j, id)) {
		return
	}
	switch status {
	case livekit.JobStatus_JS_SUCCESS:
		if j.state == running || j.state == ended || (j.state == lost && j.mayGoOn) {
			j.state = done
		}
	case livekit.JobStatus_JS_FAILED:
		if j.state == running || b.hasJustEnded(j) {
			b.lose(j)
		}
	}
}

// isOf tells whether a worker may be the one that was given the job. It has another id on each connection.
func (b *Book) isOf(j *job, id string) bool {
	return j.by == b.workers[id].origin
}

// keepJobs takes the jobs that a worker still runs after it has connected again. The end of its connection before may
// not have been noticed yet.
func (b *Book) keepJobs(id string, jobs []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keep(id, jobs)
	b.notifyOthers()
}

// keep needs b.mu.
func (b *Book) keep(id string, jobs []string) {
	for _, each := range jobs {
		b.claims[each] = id
		j := b.jobs[each]
		if j == nil { // its agent may come
			continue
		}
		if j.stray && j.worker == "" {
			j.by = b.workers[id].origin
		}
		if !b.isOf(j, id) || j.state == replaced || j.state == done {
			continue
		}
		j.worker = id
		if j.state == lost && j.mayGoOn {
			j.state, j.cutAt = running, time.Time{}
		}
	}
}

// Ending is how the session of an agent in a room has ended.
type Ending int

const (
	Left    Ending = iota // the agent left
	Removed               // an operator removed it
	CutOff                // neither, as when its network failed
)

// SessionEnded takes the end of an agent's session. livekit-server then has the worker end the job, whatever the reason.
func (b *Book) SessionEnded(roomID, identity string, how Ending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.strays = slices.DeleteFunc(b.strays, func(s stray) bool { return s.roomID == roomID && s.identity == identity })
	for _, j := range b.jobs {
		if j.roomID != roomID || j.identity != identity {
			continue
		}
		switch {
		case how == Removed && j.state != replaced:
			j.state = done
		case how == CutOff && (j.state == running || b.hasJustEnded(j)):
			b.lose(j)
		case how == Left && j.state == running:
			j.state, j.endedAt = ended, b.now()
		case j.state == lost:
			b.notify()
		}
	}
}

// reporting is longer than the server and a worker take to say why a job has ended.
const reporting = 5 * time.Second

func (b *Book) hasJustEnded(j *job) bool {
	return j.state == ended && b.now().Sub(j.endedAt) < reporting
}

func (b *Book) leave(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(id)
	b.notifyOthers()
}

// drop needs b.mu.
func (b *Book) drop(id string) {
	delete(b.workers, id)
	maps.DeleteFunc(b.claims, func(_, worker string) bool { return worker == id })
	for _, j := range b.jobs {
		if j.worker == id && (j.state == running || b.hasJustEnded(j)) {
			b.lose(j)
			j.mayGoOn = true
		}
	}
	b.notify()
}

// lose needs b.mu.
func (b *Book) lose(j *job) {
	j.state, j.mayGoOn, j.lostAt, j.cutAt = lost, false, b.now(), time.Time{}
	b.notify()
}
