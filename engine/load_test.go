package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"lkhub/engine/internal/load"
)

func TestLoadIsForwardedWhole(t *testing.T) {
	server := startSFU(t, freePort(t), "0", "")
	cmd := engineCommand("load", "--publishers", "2", "--subscribers", "4", "--rooms", "2", "--duration", "500ms")
	cmd.Env = append(cmd.Env, "LIVEKIT_URL="+server.url, "LIVEKIT_API_KEY="+callKey, "LIVEKIT_API_SECRET="+callSecret)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s %s", err, stdout, &stderr)
	}
	var report load.Report
	if err := json.Unmarshal(stdout, &report); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", stdout)
	// Two publishers of 230 packets a second, each to two of the four subscribers.
	if sent := report.PacketsSent; sent < 200 || sent > 260 || report.PacketsExpected != 2*sent {
		t.Errorf("%d packets sent, %d expected", sent, report.PacketsExpected)
	}
	if report.Loss > 0.05 || report.PacketsReceived > report.PacketsExpected || report.BytesReceived <= report.BytesSent {
		t.Errorf("%+v", report)
	}
	if report.LatencyP50MS <= 0 || report.LatencyP99MS < report.LatencyP50MS || report.JoinP50MS <= 0 || report.JoinP99MS < report.JoinP50MS {
		t.Errorf("%+v", report)
	}
	if stderr.String() != "measuring: everybody hears everybody, for 500ms\nmeasured\n" {
		t.Errorf("stderr: %s", &stderr)
	}
	checkNobodyIsLeft(t, server)
}

func TestLoadNeedsItsEnvironment(t *testing.T) {
	cmd := engineCommand("load", "--publishers", "0")
	cmd.Env = append(cmd.Env, "LIVEKIT_URL=", "LIVEKIT_API_KEY=", "LIVEKIT_API_SECRET=")
	stdout, _ := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != exitUsage {
		t.Errorf("exit code %d", got)
	}
	for _, says := range []string{"LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "--publishers 0"} {
		checkFailureLine(t, stdout, "usage", says)
	}
}

func TestLoadReportsARefusedToken(t *testing.T) {
	server := startSFU(t, freePort(t), "0", "")
	cmd := engineCommand("load", "--duration", "1s")
	cmd.Env = append(cmd.Env, "LIVEKIT_URL="+server.url, "LIVEKIT_API_KEY="+callKey, "LIVEKIT_API_SECRET=wrong")
	stdout, _ := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != exitNotWell || bytes.Contains(stdout, []byte("eyJ")) {
		t.Errorf("exit code %d: %s", got, stdout)
	}
	checkFailureLine(t, stdout, "load", "publisher-0: join: HTTP 401")
}
