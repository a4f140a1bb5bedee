package main

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"lkhub/engine/internal/enginetest"
)

func TestRelayedParticipantsAreToldToResume(t *testing.T) {
	udp := enginetest.FreePort(t)
	server := startSFU(t, udp, "0", turnEntry(t, udp))
	direct, relayed := server.Join(t, "direct", false), server.Join(t, "relayed", true)

	post := func(body string) int {
		answer, err := enginetest.ControlClient(server.Control).Post("http://control/resume", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	request, err := os.ReadFile("../tests/golden/wire/resume-request.json")
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]int{
		string(request): http.StatusOK,
		`{"relay_address": "127.0.0.1", "relay_ports": {"min": 20000, "max": 29999}}`: http.StatusOK, // as startRelay has it
		`{"relay_address": "127.0.0.1", "relay_ports": {"min": 1, "max": 2}}`:         http.StatusOK,
		`{"relay_address": "192.0.2.1", "relay_ports": {"min": 1, "max": 65535}}`:     http.StatusOK,
		`{"relay_address": "hub"}`: http.StatusBadRequest,
	} {
		if got := post(body); got != want {
			t.Errorf("%s: %d", body, got)
		}
	}
	select {
	case <-relayed.Ended():
	case <-time.After(enginetest.Patience):
		t.Error("the participant that is connected through the relay was not told")
	}
	select {
	case <-direct.Ended():
		t.Errorf("the participant that is connected directly was told: %v", direct.Err())
	default:
	}
	rooms := enginetest.AskControl(t, server.Control, "/status")["rooms"].([]any)
	if len(rooms) != 1 || rooms[0].(map[string]any)["participants"] != 2.0 {
		t.Errorf("a participant left the room: %v", rooms)
	}
}
