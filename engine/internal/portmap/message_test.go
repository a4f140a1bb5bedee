package portmap

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"lkhub/engine/internal/message"
)

func TestEverythingThatIsWrongWithARequestIsSaid(t *testing.T) {
	for text, said := range map[string][]string{
		`nonsense`:        {"not readable"},
		`{"nonsense": 1}`: {"not readable", "nonsense"},
		`{}`:              {"version is 0", `action is ""`, "seconds is 0"},
		`{"version": 2}`:  {"version is 2, and this program speaks 1"},
		`{"version": 1, "action": "map", "seconds": 60}`:   {"mappings is empty"},
		`{"version": 1, "action": "renew", "seconds": 60}`: {"needs record"},
		`{"version": 1, "action": "unmap"}`:                {"needs record"},
		`{"version": 1, "action": "map", "seconds": 60, "mappings": [{"protocol": "sctp", "port": 1}, {"protocol": "udp"}]}`: {
			"1/sctp is no port", "0/udp is no port"},
		`{"version": 1, "action": "unmap", "record": {"gateway": "2001:db8::1", "means": "pcp", "nonce": "00", "mappings": [{"port": 9}]}}`: {
			"record.gateway", "record.local", "12 bytes", "9/ is no port"},
		`{"version": 1, "action": "unmap", "record": {"gateway": "1.2.3.4", "local": "1.2.3.5", "means": "smoke"}}`: {"smoke"},
		`{"version": 1, "action": "unmap", "record": {"gateway": "x"}}`:                                             {"not readable"},
	} {
		_, err := Parse(text)
		for _, part := range said {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, wanted %s", text, err, part)
			}
		}
	}
}

// Programs that read the lists need no case for null.
func TestListsAreNeverNull(t *testing.T) {
	for _, answer := range []Answer{
		fail(Answer{}, &Failure{NoRouter, "x"}), realEndpoints(uplink{}).answer(&upnp{}), realEndpoints(uplink{}).silent(Answer{}, nil),
	} {
		text, _ := json.Marshal(answer)
		if !strings.Contains(string(text), `"mappings":[],"tried":[]`) {
			t.Errorf("%s", text)
		}
	}
}

// tests/wire/test_portmap.py reads the same file.
func TestMessagesAreThoseThatPythonTests(t *testing.T) {
	text, err := os.ReadFile("../../../tests/golden/wire/portmap.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Requests, Answers map[string]json.RawMessage }
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{ActionMap, ActionRenew, ActionUnmap} {
		request, err := Parse(string(golden.Requests[action]))
		if err != nil || request.Action != action {
			t.Errorf("%s: %v", action, err)
		}
		checkSame(t, golden.Requests[action], request)
	}
	for _, raw := range golden.Answers {
		var answer Answer
		if err := json.Unmarshal(raw, &answer); err != nil {
			t.Error(err)
		}
		line, _ := message.Marshal(answer)
		checkSame(t, raw, json.RawMessage(line))
	}
}

// checkSame compares a value's JSON with a text, apart from the order of keys.
func checkSame(t *testing.T, want json.RawMessage, value any) {
	t.Helper()
	text, _ := json.Marshal(value)
	var got, wanted any
	if json.Unmarshal(text, &got) != nil || json.Unmarshal(want, &wanted) != nil || !reflect.DeepEqual(got, wanted) {
		t.Errorf("%s\nis not\n%s", text, want)
	}
}
