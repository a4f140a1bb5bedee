// Package roster is who is in the rooms of a hub: media keeps it, and the relay asks for it over the control socket of media.
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

// request is about these participants, by their SIDs: POST /participants.
type request struct {
	Participants []string `json:"participants"`
}

// Presence is what is known of them. A participant in neither part has not been here, or too long ago.
type Presence struct {
	In   map[string]string `json:"in"` // identity by SID
	Left []string          `json:"left"`
}

// Roster is who is in, by the SID that a participant has from joining until it leaves, however often it resumes.
type Roster struct {
	mu   sync.Mutex
	in   map[string]entry
	left recent.Set[string]
}

type entry struct{ identity, room string }

// New is of nobody.
func New() *Roster {
	return &Roster{in: map[string]entry{}, left: recent.New[string](recent.Most, recent.Kept)}
}

// Join notes that a participant, by its SID, is in a room. One that has left is not in again: its end may be heard of
// first.
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

// End says that a room, by its SID, is no more, and with it whoever was in it.
func (r *Roster) End(room string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for participant, entry := range r.in {
		if entry.room == room {
			r.remove(participant)
		}
	}
}

// remove wants r.mu.
func (r *Roster) remove(participant string) {
	delete(r.in, participant)
	r.left.Add(participant, time.Now())
}

// Answer says of the participants of a request, in JSON, what is known of them.
func (r *Roster) Answer(_ context.Context, body io.Reader) (any, error) {
	var asked request
	if err := json.NewDecoder(body).Decode(&asked); err != nil {
		return nil, failure.Config("the participants: %v", err)
	}
	return r.Presence(asked.Participants), nil
}

// Presence tells of participants by their SID.
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
