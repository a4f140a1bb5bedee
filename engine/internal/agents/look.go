package agents

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/livekit/protocol/livekit"
)

// Presence is where the participant of a job is.
type Presence int

const (
	Absent    Presence = iota // not in the room
	Connected                 // in the room, with its signalling connection
	Cut                       // in the room, and its signalling connection has ended
)

// Room is an open room with its dispatches. Its methods must not call the Book.
type Room interface {
	ID() string
	Name() string
	Dispatches() []*livekit.AgentDispatch
	// Targets are the SIDs of the participants that a job of this kind is for; "" stands for the room.
	Targets(kind livekit.JobType) []string
	// Presence is that of an agent. A participant of this identity that is no agent counts as Absent.
	Presence(identity string) Presence
	// Remove removes an agent.
	Remove(identity string)
	Launch(dispatch string, kind livekit.JobType, target string)
	// IsLaunching tells whether livekit-server may still offer a job of this dispatch to workers.
	IsLaunching(dispatch string) bool
}

const (
	// dispatching is the time in which livekit-server's own dispatch has reached a worker, or has found none. It looks for
	// the least loaded one for up to a second (psrpc, DefaultAffinityTimeout).
	dispatching = 2 * time.Second
	// settling is the time after which livekit-server knows a worker that has registered, and the worker has said which
	// jobs it still runs.
	settling = 500 * time.Millisecond
	// resuming is the time in which a client whose process lives connects again. A client tries at once.
	resuming = 500 * time.Millisecond
	// joining is the time in which the process of a job may still join its room, or join it again, after the job was lost.
	joining = time.Second
	// ending is longer than the processes of a worker that was killed take to end.
	ending = 30 * time.Second
	// overdue is longer than any launch takes, also when many are queued.
	overdue = time.Minute
	// steady is how long an agent runs that counts as one that works.
	steady = time.Minute
	// pausing is the time between asking all workers and asking them again.
	pausing = 10 * time.Second
	// reaching is longer than the processes of media take to reach each other after Redis is back.
	reaching = 5 * time.Second

	soon   = 100 * time.Millisecond
	usual  = time.Second
	asleep = time.Hour

	maxDelay = 30 * time.Second

	// atOnce is how many agents are asked for at the same time. A worker that registers late may be asked for an agent in
	// each room, and says only after each whether it takes more.
	atOnce = 20
)

// Look asks for an agent in each room that lacks one and has a worker for it. Returns when to look again if nothing
// changes before. It must be called by one goroutine only.
func (b *Book) Look(rooms []Room) time.Duration {
	var acts []func()
	next := b.look(rooms, &acts)
	for _, act := range acts { // without the lock: a launch may be answered before it returns
		act()
	}
	return next
}

func (b *Book) look(rooms []Room, acts *[]func()) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropSilent()
	b.keepOut(rooms, acts)
	needs := b.needs(rooms)
	b.evict(rooms, acts)
	if len(b.workers) == 0 { // the first one is a change
		return asleep
	}
	next := usual // not every beginning of a room or a participant is told
	for _, n := range needs {
		found := b.judge(n)
		if found.ask && !b.held {
			b.ask(n, acts)
		}
		next = min(next, found.wait)
	}
	return next
}

// keepOut removes agents that were replaced, and have come again.
func (b *Book) keepOut(rooms []Room, acts *[]func()) {
	replacedIn := map[string][]string{}
	for _, j := range b.jobs {
		if j.state == replaced {
			replacedIn[j.roomID] = append(replacedIn[j.roomID], j.identity)
		}
	}
	for _, room := range rooms {
		for _, identity := range replacedIn[room.ID()] {
			if room.Presence(identity) != Absent {
				*acts = append(*acts, func() { room.Remove(identity) })
			}
		}
	}
}

// need is a place for an agent. Since is when livekit-server began to dispatch for it.
type need struct {
	room     Room
	dispatch *livekit.AgentDispatch
	key      key
	since    time.Time
}

// needs are all places for agents in these rooms. It forgets what is about others.
func (b *Book) needs(rooms []Room) []need {
	var found []need
	open, dispatches, targets := map[string]bool{}, map[string]bool{}, map[key]time.Time{}
	for _, room := range rooms {
		open[room.ID()] = true
		for _, dispatch := range room.Dispatches() {
			dispatches[dispatch.GetId()] = true
			b.adoptAll(room, dispatch)
			for _, kind := range b.kinds(dispatch) {
				for _, target := range room.Targets(kind) {
					n := need{room, dispatch, key{dispatch.GetId(), kind, target}, time.Unix(0, dispatch.GetState().GetCreatedAt())}
					if target != "" { // livekit-server dispatches when the participant joins or publishes
						if n.since = b.targets[n.key]; n.since.IsZero() {
							n.since = b.now()
						}
						targets[n.key] = n.since
					}
					if len(b.strays) > 0 && b.isOpen(room, n.key) {
						b.settle(room.ID(), dispatch.GetAgentName(), n.key)
					}
					found = append(found, n)
				}
			}
		}
	}
	b.targets = targets
	b.forget(open, func(k key) bool { return !dispatches[k.dispatch] || (k.target != "" && targets[k].IsZero()) })
	return found
}

func (b *Book) adoptAll(room Room, dispatch *livekit.AgentDispatch) {
	for _, given := range dispatch.GetState().GetJobs() {
		if b.jobs[given.GetId()] == nil {
			b.adopt(room, given)
		}
	}
}

// kinds are the kinds of jobs that a dispatch may have: those of the workers that are there, and of the jobs that were
// given. A dispatch for which there is neither counts as one for its room.
func (b *Book) kinds(dispatch *livekit.AgentDispatch) []livekit.JobType {
	found := map[livekit.JobType]bool{}
	for _, w := range b.workers {
		if !w.isFor(dispatch) {
			continue
		}
		if w.namespace != "" { // deprecated: a dispatch has an agent in each namespace, and one alone can't be launched
			return nil
		}
		found[w.kind] = true
	}
	for _, given := range dispatch.GetState().GetJobs() {
		found[given.GetType()] = true
	}
	if len(found) == 0 {
		found[livekit.JobType_JT_ROOM] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// verdict says of a need whether to ask for an agent now. If not, wait is when to judge again if nothing changes before,
// and reason is why it waits; "": it has its agent, or may get it without being asked for.
type verdict struct {
	ask    bool
	wait   time.Duration
	reason string
	since  time.Time
}

func (b *Book) judge(n need) verdict {
	now, last := b.now(), b.latest[n.key]
	if at, ok := b.asked[n.key]; ok {
		age := now.Sub(at)
		if age < usual || (age < overdue && n.room.IsLaunching(n.dispatch.GetId())) {
			return verdict{wait: usual}
		}
		delete(b.asked, n.key) // no worker took it
		if b.wasReached(at) {
			b.refused[n.key] = now
		}
	}
	since := n.since
	switch {
	case last == nil:
		age := now.Sub(n.since)
		if age < dispatching {
			return verdict{wait: dispatching - age}
		}
		if age < overdue && b.hasWorkerFrom(n) && n.room.IsLaunching(n.dispatch.GetId()) {
			return verdict{wait: usual}
		}
	case last.state == replaced:
		since = last.lostAt
	case last.state != lost || n.dispatch.GetRestartPolicy() == livekit.JobRestartPolicy_JRP_NEVER:
		return verdict{wait: asleep}
	default:
		since = last.lostAt
		if wait := b.judgeLost(n, last); wait > 0 {
			return verdict{wait: wait}
		}
	}
	reason, wait := b.findWorker(n)
	switch {
	case reason == "" && len(b.asked) < atOnce:
		return verdict{ask: true, wait: usual}
	case reason == "":
		return verdict{wait: usual}
	case last == nil && reason == NoWorker && n.dispatch.GetAgentName() == "": // each room has such a dispatch
		return verdict{wait: wait}
	}
	return verdict{wait: wait, reason: reason, since: since}
}

// hasWorkerFrom tells whether a worker for this need was there when livekit-server began to dispatch.
func (b *Book) hasWorkerFrom(n need) bool {
	for _, w := range b.workers {
		if w.isFor(n.dispatch) && w.kind == n.key.kind && !w.since.After(n.since) {
			return true
		}
	}
	return false
}

// judgeLost tells for how long to wait until it is certain that the process of a lost job has ended. 0: it has.
func (b *Book) judgeLost(n need, j *job) time.Duration {
	now := b.now()
	var left time.Duration
	switch n.room.Presence(j.identity) {
	case Connected: // perhaps its worker alone has lost its connection, and the agent goes on
		j.cutAt = time.Time{}
		if now.Sub(j.lostAt) > ending {
			return usual
		}
		return soon
	case Cut:
		if j.cutAt.IsZero() {
			j.cutAt = now
		}
		left = resuming - now.Sub(j.cutAt)
	case Absent:
		left = joining - now.Sub(j.lostAt)
	}
	for _, w := range b.workers {
		if j.mayGoOn && w.origin == j.by { // perhaps its worker, which will say that it runs the job
			left = max(left, settling-now.Sub(w.since))
		}
	}
	return max(0, left)
}

// findWorker tells why no worker can take a job now, and when to look again; "" and 0: one can.
func (b *Book) findWorker(n need) (string, time.Duration) {
	now, reason, wait := b.now(), NoWorker, asleep // a worker that can take it is a change
	for _, w := range b.workers {
		if !w.isFor(n.dispatch) || w.kind != n.key.kind {
			continue
		}
		if !w.isFree() {
			reason = Full
			continue
		}
		wait = max(0, min(wait, settling-now.Sub(w.since)))
	}
	if wait > 0 {
		return reason, wait
	}
	if at, ok := b.refused[n.key]; ok && now.Sub(at) < pausing {
		return Refused, pausing - now.Sub(at)
	}
	if f := b.failures[n.key]; f != nil && now.Before(f.next) {
		return Failing, f.next.Sub(now)
	}
	return "", 0
}

func (b *Book) ask(n need, acts *[]func()) {
	why, last := "no agent came when it began", b.latest[n.key]
	if last != nil {
		why = "its agent was lost"
	}
	if last != nil && last.state == lost {
		b.note(last)
		last.state = replaced
		// The room must not have two participants of one agent: the new one comes after the end of the old one.
		*acts = append(*acts, func() { n.room.Remove(last.identity) })
	}
	b.asked[n.key] = b.now()
	b.again++
	*acts = append(*acts, func() {
		slog.Info("asking for an agent", "room", n.room.Name(), "agentName", n.dispatch.GetAgentName(), "why", why)
		n.room.Launch(n.dispatch.GetId(), n.key.kind, n.key.target)
	})
}

// note counts a lost job, so that an agent that fails again and again is asked for at growing intervals.
func (b *Book) note(j *job) {
	f := b.failures[j.key]
	if f == nil || j.lostAt.Sub(j.since) > steady {
		f = &failures{}
		b.failures[j.key] = f
	}
	f.count++
	// The first one is replaced at once, and so is the second.
	f.next = b.now().Add(min(maxDelay, time.Second<<min(f.count-1, 5)))
}

// forget drops what is about rooms, dispatches and participants that are gone.
func (b *Book) forget(open map[string]bool, isGone func(key) bool) {
	age := func(at time.Time) time.Duration { return b.now().Sub(at) }
	maps.DeleteFunc(b.jobs, func(_ string, j *job) bool {
		// A job whose room has not been listed yet is younger than the list.
		return !open[j.roomID] && age(j.since) > steady
	})
	b.strays = slices.DeleteFunc(b.strays, func(s stray) bool { return !open[s.roomID] && age(s.since) > steady })
	maps.DeleteFunc(b.latest, func(_ key, j *job) bool { return b.jobs[j.id] == nil })
	maps.DeleteFunc(b.asked, func(k key, at time.Time) bool { return (isGone(k) && age(at) > usual) || age(at) > overdue })
	maps.DeleteFunc(b.refused, func(k key, at time.Time) bool { return isGone(k) || age(at) > pausing })
	maps.DeleteFunc(b.failures, func(k key, _ *failures) bool { return isGone(k) })
}
