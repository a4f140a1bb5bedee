package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"

	"lkhub/engine/internal/agents"
	"lkhub/engine/internal/connlimit"
	"lkhub/engine/internal/edge"
	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/judge"
	"lkhub/engine/internal/message"
	"lkhub/engine/internal/probe"
	"lkhub/engine/internal/seen"
	"lkhub/engine/internal/sendcount"
	"lkhub/engine/internal/sfu"
)

// readMessage returns a message that tests/wire/test_golden.py reads too. A change on one side alone fails one of the
// tests.
func readMessage(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile("../tests/golden/wire/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var message map[string]any
	if err := json.Unmarshal(text, &message); err != nil {
		t.Fatal(err)
	}
	return message
}

// checkWritten is checkMessage for a whole message, which has the version of all messages.
func checkWritten(t *testing.T, want map[string]any, value any) {
	t.Helper()
	if want["version"] != float64(message.Version) {
		t.Errorf("version is %v", want["version"])
	}
	without := maps.Clone(want)
	delete(without, "version")
	checkMessage(t, without, value)
	line, err := message.Marshal(value)
	var got any
	if err != nil || json.Unmarshal(line, &got) != nil || !reflect.DeepEqual(got, any(want)) {
		t.Errorf("%s\nis not\n%v", line, want)
	}
}

// checkMessage reads a part of a message into value, a pointer, and compares the JSON of value with that part.
func checkMessage(t *testing.T, part, value any) {
	t.Helper()
	text, _ := json.Marshal(part)
	if err := json.Unmarshal(text, value); err != nil {
		t.Error(err)
	}
	written, _ := json.Marshal(value)
	var got any
	if json.Unmarshal(written, &got) != nil || !reflect.DeepEqual(got, part) {
		t.Errorf("%s\nis not\n%s", written, text)
	}
}

func TestMessagesAreThoseThatPythonTests(t *testing.T) {
	media, server := readMessage(t, "media-status"), readMessage(t, "edge-status")
	checkMessage(t, media["connections"].(map[string]any)["ice_tcp"], &connlimit.Report{})
	checkMessage(t, media["sends"], &sendcount.Report{})
	checkMessage(t, media["keys"], &[]sfu.KeyStatus{})
	checkMessage(t, media["agents"], &agents.Status{})
	checkMessage(t, media["seen"], &map[string]seen.Sighting{})
	checkMessage(t, media["unproven"], &map[string]seen.Sighting{})
	for _, key := range []string{"version", "state", "pid", "relay", "seen"} {
		delete(server, key)
	}
	checkMessage(t, server, &edge.Status{})
	checkMessage(t, readMessage(t, "probe-request"), &probe.Request{})
	checkWritten(t, readMessage(t, "probe-result"), &probe.Result{})
	checkWritten(t, readMessage(t, "probe-failure"), &probe.Result{})
	checkWritten(t, readMessage(t, "config-answer"), &struct {
		OK       bool           `json:"ok"`
		Messages judge.Messages `json:"messages"`
	}{})
	checkWritten(t, readMessage(t, "stun-answer"), &map[string]string{})
	checkWritten(t, readMessage(t, "resume-answer"), &map[string]int{})
	failed := readMessage(t, "failure")
	told := failed["error"].(map[string]any)
	var line bytes.Buffer
	failure.Report(&line, failure.New(failure.ExitMachine, told["code"].(string), told["message"].(string)))
	var got map[string]any
	if json.Unmarshal(line.Bytes(), &got) != nil || !reflect.DeepEqual(got, failed) {
		t.Errorf("%s\nis not\n%v", line.String(), failed)
	}
}

// checkKeys compares the keys of a real status with those of the message that Python tests.
func checkKeys(t *testing.T, name string, status map[string]any) {
	t.Helper()
	compareKeys(t, name, readMessage(t, name), status)
}

// compareKeys also compares objects whose keys are fixed.
func compareKeys(t *testing.T, where string, want, got map[string]any) {
	t.Helper()
	for key := range got {
		if _, known := want[key]; !known {
			t.Errorf("%s: Python does not know %q", where, key)
		}
	}
	for key, value := range want {
		found, there := got[key]
		// Media that uses no Redis says nothing of one.
		if !there && key != "redis" {
			t.Errorf("%s: %q is missing", where, key)
		}
		below, is := value.(map[string]any)
		if found, isToo := found.(map[string]any); is && isToo && slices.Contains(
			[]string{"connections", "ice_tcp", "signalling", "sends", "relay", "ports", "agents"}, key,
		) {
			compareKeys(t, where+"."+key, below, found)
		}
	}
}
