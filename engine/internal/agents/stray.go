package agents

import (
	"slices"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
)

// stray is an agent in a room that was given its job by a process before this one: it outlived that process and has
// joined again. It takes the place of an agent in its room, so that the room does not get a second one.
type stray struct {
	room, roomID, identity, agent string
	since                         time.Time
}

// jobPrefix begins the identity of an agent that has not chosen another one; its job's ID follows (livekit-agents, job.py).
const jobPrefix = "agent-"

// Joined takes the beginning of an agent's session, with the name of the agent in its token. Returns whether it may stay:
// an agent may not that has no job of this process, or none any more, where others have the places of its name.
func (b *Book) Joined(room Room, identity, agent string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, dispatch := range room.Dispatches() {
		b.adoptAll(room, dispatch) // a job of a worker that is not watched
	}
	for _, j := range b.jobs {
		if j.roomID == room.ID() && j.identity == identity {
			return j.state != replaced
		}
	}
	open, places := b.places(room, agent)
	for _, s := range b.strays {
		if s.roomID == room.ID() && s.agent == agent && len(open) > 0 {
			open = open[1:]
		}
	}
	if places > 0 && len(open) == 0 {
		return false
	}
	b.strays = append(b.strays, stray{room.Name(), room.ID(), identity, agent, b.now()})
	for _, w := range b.workers {
		if len(open) > 0 && w.name == agent && w.kind == open[0].kind { // without a worker, its kind is not known
			b.settle(room.ID(), agent, open[0])
			break
		}
	}
	b.notify()
	return true
}

// places are those for agents of this name, the open ones and how many there are in all. It needs b.mu.
func (b *Book) places(room Room, agent string) (open []key, all int) {
	for _, dispatch := range room.Dispatches() {
		if dispatch.GetAgentName() != agent {
			continue
		}
		for _, kind := range b.kinds(dispatch) {
			targets := room.Targets(kind)
			if kind == livekit.JobType_JT_ROOM { // livekit-server dispatches also where no person is yet
				targets = []string{""}
			}
			for _, target := range targets {
				all++
				if k := (key{dispatch.GetId(), kind, target}); b.isOpen(room, k) {
					open = append(open, k)
				}
			}
		}
	}
	return open, all
}

// evict removes strays for which no place is left: when they came, it was not known which places there are.
func (b *Book) evict(rooms []Room, acts *[]func()) {
	for _, room := range rooms {
		b.strays = slices.DeleteFunc(b.strays, func(s stray) bool {
			if s.roomID != room.ID() {
				return false
			}
			open, all := b.places(room, s.agent)
			if all == 0 || len(open) > 0 {
				return false
			}
			*acts = append(*acts, func() { room.Remove(s.identity) })
			return true
		})
	}
}

// isOpen tells whether no agent is in this place. It needs b.mu.
func (b *Book) isOpen(room Room, k key) bool {
	last := b.latest[k]
	switch {
	case last == nil || last.state == lost || last.state == replaced:
		return true
	case last.state == running && !last.stray: // it was called a moment ago, and is not there yet
		return room.Presence(last.identity) == Absent
	}
	return false
}

// settle gives a place to a stray, if there is one for it. It needs b.mu.
func (b *Book) settle(roomID, agent string, k key) bool {
	for i, s := range b.strays {
		if s.roomID != roomID || s.agent != agent {
			continue
		}
		if last := b.latest[k]; last != nil && (last.state == running || last.state == lost) {
			last.state = replaced
		}
		id := strings.TrimPrefix(s.identity, jobPrefix)
		j := &job{id: id, room: s.room, roomID: s.roomID, identity: s.identity, key: k, stray: true, since: s.since}
		if w := b.workers[b.claims[id]]; w != nil {
			j.worker, j.by = w.id, w.origin
		}
		if other := b.jobs[id]; other != nil && other.roomID != roomID { // an identity that the agent chose for all rooms
			j.id = roomID + "/" + s.identity
		}
		b.jobs[j.id], b.latest[k] = j, j
		delete(b.asked, k)
		delete(b.refused, k)
		b.strays = append(b.strays[:i], b.strays[i+1:]...)
		return true
	}
	return false
}

// isTaken tells whether a job is for a place that a stray has or gets. It needs b.mu.
func (b *Book) isTaken(offered *livekit.Job) bool {
	k := keyOf(offered)
	if last := b.latest[k]; last != nil && last.stray && last.state == running {
		return true
	}
	last := b.latest[k]
	return (last == nil || last.state == lost || last.state == replaced) && b.settle(offered.GetRoom().GetSid(), offered.GetAgentName(), k)
}
