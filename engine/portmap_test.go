package main

import (
	"encoding/json"
	"strings"
	"testing"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/portmap"
)

// Requests to routers are tested in internal/portmap, and with a real router in tests/namespaces.
func TestPortmapSaysOfEachPortWhatBecameOfIt(t *testing.T) {
	// No machine's gateway is on its own loopback, so nothing is sent.
	cmd := engineCommand("portmap", "-")
	cmd.Stdin = strings.NewReader(`{"version": 1, "action": "unmap", "record": {"gateway": "127.0.0.9",
		"local": "127.0.0.1", "means": "nat-pmp", "mappings": [{"protocol": "udp", "port": 7882, "own": true}]}}`)
	out, _ := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != failure.ExitNotWell {
		t.Errorf("exit code %d", got)
	}
	checkFailureLine(t, out, "kept", "the router at 127.0.0.9 keeps 7882/udp")
	var answer portmap.Answer
	if err := json.Unmarshal(out, &answer); err != nil || len(answer.Mappings) != 1 {
		t.Fatalf("%s: %v", out, err)
	}
	if got := answer.Mappings[0].Reason; got != portmap.OtherRouter && got != portmap.NoRouter {
		t.Error(got)
	}
}

func TestPortmapRefusesARequestThatMakesNoSense(t *testing.T) {
	cmd := engineCommand("portmap", "-")
	cmd.Stdin = strings.NewReader(`{"version": 1, "action": "map"}`)
	out, _ := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != failure.ExitUsage {
		t.Errorf("exit code %d", got)
	}
	checkFailureLine(t, out, "usage", "mappings is empty")
}
