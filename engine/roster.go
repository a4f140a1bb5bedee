package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Media tells by its control socket who is in: POST /participants with a list of participants' SIDs.

// rosterRequest is about these participants.
type rosterRequest struct {
	Participants []string `json:"participants"`
}

// presence is what is known of them. A participant in neither part has not been here, or too long ago.
type presence struct {
	In   map[string]string `json:"in"` // identity by SID
	Left []string          `json:"left"`
}

// rosterKeeper is an engine that knows who is in.
type rosterKeeper interface {
	Presence(participants []string) presence
}

// maxRoster has room for more participants than there are ports.
const maxRoster = 4 << 20

func handleRoster(w http.ResponseWriter, request *http.Request, keeper rosterKeeper) {
	w.Header().Set("Content-Type", "application/json")
	var asked rosterRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, request.Body, maxRoster)).Decode(&asked); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		report(w, badConfig("the participants: %v", err))
		return
	}
	writeJSON(w, keeper.Presence(asked.Participants))
}

// roster is who is in, by the SID that a participant has from joining until it leaves, however often it resumes.
type roster struct {
	mu   sync.Mutex
	in   map[string]rosterEntry
	left recent[string]
}

type rosterEntry struct{ identity, room string }

func newRoster() *roster {
	return &roster{in: map[string]rosterEntry{}, left: newRecent[string](recentMost, recentKept)}
}

// joined notes that a participant, by its SID, is in a room. One that has left is not in again: its end may be heard of
// first.
func (r *roster) joined(participant, identity, room string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.left.has(participant) {
		r.in[participant] = rosterEntry{identity, room}
	}
}

// leave may be called more than once.
func (r *roster) leave(participant string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(participant)
}

// ended says that a room, by its SID, is no more, and with it whoever was in it.
func (r *roster) ended(room string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for participant, entry := range r.in {
		if entry.room == room {
			r.remove(participant)
		}
	}
}

// remove wants r.mu.
func (r *roster) remove(participant string) {
	delete(r.in, participant)
	r.left.add(participant, time.Now())
}

func (r *roster) Presence(participants []string) presence {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := presence{In: map[string]string{}, Left: []string{}}
	for _, participant := range participants {
		if entry, in := r.in[participant]; in {
			said.In[participant] = entry.identity
		} else if r.left.has(participant) {
			said.Left = append(said.Left, participant)
		}
	}
	return said
}

// rosterClient asks for it.
type rosterClient struct {
	socket string
	http   *http.Client
}

// rosterPatience is more than media takes for anything. A hung one must not keep the relay from looking again.
const rosterPatience = 2 * time.Second

// newRosterClient returns nil where there is nothing to ask, as with a livekit-server of the user's.
func newRosterClient(socket string) *rosterClient {
	if socket == "" {
		return nil
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &rosterClient{socket, &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: rosterPatience}}
}

func (c *rosterClient) ask(ctx context.Context, participants []string) (presence, error) {
	var said presence
	body, err := json.Marshal(rosterRequest{participants})
	if err != nil {
		return said, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://media/participants", bytes.NewReader(body))
	if err != nil {
		return said, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return said, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return said, fmt.Errorf("media answered %s", answer.Status)
	}
	return said, json.NewDecoder(io.LimitReader(answer.Body, 4*maxRoster)).Decode(&said)
}
