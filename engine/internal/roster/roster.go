// Package roster has the participants in the rooms of a hub. Media keeps the roster, and the relay asks for it over
// media's control socket.
package roster

import (
	"context"
	"encoding/json"
	"io"
	"sync"
	"time"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/recent"
)

// request names participants by their SIDs: POST /participants.
type request struct {
	Participants []string `json:"participants"`
}

// Presence is what is known of these participants. A participant in neither field was never here, or long ago.
type Presence struct {
	In   map[string]string `json:"in"` // identity by SID
	Left []string          `json:"left"`
}

// Roster has the participants that are in a room, by SID. A participant keeps its SID from joining until it leaves,
// also when it resumes.
type Roster struct {
	mu   sync.Mutex
	in   map[string]entry
	left recent.Set[string]
}

type entry struct{ identity, room string }

// New returns an empty roster.
func New() *Roster {
	return &Roster{in: map[string]entry{}, left: recent.New[string](recent.Most, recent.Kept)}
}

// Join records that a participant, by its SID, is in a room. A participant that has left does not come back: the end of
// a session may be reported before its start.
func (r *Roster) Join(participant, identity, room string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.left.Has(participant) {
		r.in[participant] = entry{identity, room}
	}
}

// Leave may be called more than once.
func (r *Roster) Leave(participant string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(participant)
}

// End records that a room, by its SID, has ended, and so has every participant in it.
func (r *Roster) End(room string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for participant, entry := range r.in {
		if entry.room == room {
			r.remove(participant)
		}
	}
}

// remove needs r.mu.
func (r *Roster) remove(participant string) {
	delete(r.in, participant)
	r.left.Add(participant, time.Now())
}

// Answer answers a request, in JSON.
func (r *Roster) Answer(_ context.Context, body io.Reader) (any, error) {
	var asked request
	if err := json.NewDecoder(body).Decode(&asked); err != nil {
		return nil, failure.Config("the participants: %v", err)
	}
	return r.Presence(asked.Participants), nil
}

// Presence returns what is known of these participants, by SID.
func (r *Roster) Presence(participants []string) Presence {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := Presence{In: map[string]string{}, Left: []string{}}
	for _, participant := range participants {
		if entry, in := r.in[participant]; in {
			said.In[participant] = entry.identity
		} else if r.left.Has(participant) {
			said.Left = append(said.Left, participant)
		}
	}
	return said
}
