package roster

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheEndMayBeHeardOfFirst(t *testing.T) {
	r := New()
	r.Leave("PA_one")
	r.Join("PA_one", "one", "RM_one")
	if isIn(r, "PA_one") || !hasLeft(r, "PA_one") {
		t.Error("in again")
	}
}

func TestWithTheRoomItsParticipantsHaveLeft(t *testing.T) {
	r := New()
	r.Join("PA_one", "one", "RM_one")
	r.Join("PA_two", "two", "RM_one")
	r.Join("PA_other", "one", "RM_two")
	r.End("RM_one")
	if said := r.Presence([]string{"PA_one", "PA_two", "PA_other"}); len(said.In) != 1 || said.In["PA_other"] != "one" || len(said.Left) != 2 {
		t.Errorf("%+v", said)
	}
}

func TestTheRosterAnswersForThoseThatItIsAskedAbout(t *testing.T) {
	r := New()
	r.Join("PA_in", "alice", "RM_one")
	r.Join("PA_left", "alice", "RM_one")
	r.Leave("PA_left")
	r.Join("PA_other", "bob", "RM_one")
	got, err := json.Marshal(r.Presence([]string{"PA_in", "PA_left", "PA_unknown"}))
	if want := `{"in":{"PA_in":"alice"},"left":["PA_left"]}`; err != nil || string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestARosterThatMakesNoSenseIsNoAnswer(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"not found": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
		"no JSON":   func(w http.ResponseWriter) { _, _ = w.Write([]byte("hello")) },
	} {
		socket := filepath.Join(t.TempDir(), "s")
		listener, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) })}
		go func() { _ = server.Serve(listener) }()
		if said, err := NewClient([]string{socket}).Ask(t.Context(), []string{"PA_one"}); err == nil {
			t.Errorf("%s: %v", name, said)
		}
		server.Close()
	}
}

func TestAsManyAreAskedAboutAsThereArePorts(t *testing.T) {
	socket, kept := filepath.Join(t.TempDir(), "s"), New()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		answer, err := kept.Answer(request.Context(), request.Body)
		if err != nil {
			t.Error(err)
		}
		_ = json.NewEncoder(w).Encode(answer)
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	participants := make([]string, math.MaxUint16)
	for i := range participants {
		participants[i] = fmt.Sprintf("PA_%012d", i)
		kept.Join(participants[i], strings.Repeat("long ", 20), "RM_one")
	}
	client := NewClient([]string{socket})
	client.https[0].Timeout = time.Minute // the test is about the size, and this machine may be slow
	said, err := client.Ask(t.Context(), participants)
	if err != nil || len(said.In) != len(participants) {
		t.Errorf("%d of %d: %v", len(said.In), len(participants), err)
	}
}

func isIn(r *Roster, participant string) bool { return len(r.Presence([]string{participant}).In) == 1 }

func hasLeft(r *Roster, participant string) bool {
	return len(r.Presence([]string{participant}).Left) == 1
}

// One of two media processes is ending, or is gone.
func TestTheRosterIsThatOfAllMediaProcesses(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	serve := func(socket string, kept *Roster) *http.Server {
		listener, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			answer, _ := kept.Answer(request.Context(), request.Body)
			_ = json.NewEncoder(w).Encode(answer)
		})}
		go func() { _ = server.Serve(listener) }()
		return server
	}
	client := NewClient([]string{first, second})
	all := []string{"PA_old", "PA_new", "PA_left", "PA_back"}
	if said, err := client.Ask(t.Context(), all); err == nil {
		t.Errorf("%+v, and no media process is there", said)
	}
	old, latest := New(), New()
	old.Join("PA_old", "one", "RM_old")
	old.Leave("PA_left")
	old.Leave("PA_back")
	latest.Join("PA_new", "two", "RM_new")
	latest.Join("PA_back", "three", "RM_new")
	ending, other := serve(first, old), serve(second, latest)
	defer other.Close()
	said, err := client.Ask(t.Context(), all)
	if err != nil || len(said.In) != 3 || said.In["PA_old"] != "one" || said.In["PA_new"] != "two" || len(said.Left) != 1 || said.Left[0] != "PA_left" {
		t.Errorf("%+v, %v", said, err)
	}
	ending.Close()
	if said, err := client.Ask(t.Context(), all); err != nil || len(said.In) != 2 {
		t.Errorf("%+v, %v after the end of one", said, err)
	}
}

func TestAMediaProcessThatHangsLeavesTheRosterUnknown(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	kept, err := net.Listen("unix", first)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{}`)) })}
	defer server.Close()
	listener, err := net.Listen("unix", second)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	if said, err := NewClient([]string{first, second}).Ask(t.Context(), []string{"PA_one"}); err == nil {
		t.Errorf("%+v", said)
	}
}
