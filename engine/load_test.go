package main

import (
	"bytes"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/certtest"
	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/load"
	"lkhub/engine/internal/turntest"
)

func TestLoadIsForwardedWhole(t *testing.T) {
	server := startSFU(t, enginetest.FreePort(t), "0", "")
	cmd := engineCommand("load", "--publishers", "2", "--subscribers", "4", "--rooms", "2", "--joins-at-once", "2", "--duration", "500ms")
	cmd.Env = append(cmd.Env, "LIVEKIT_URL="+server.URL, "LIVEKIT_API_KEY="+calltest.Key, "LIVEKIT_API_SECRET="+calltest.Secret)
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
	// A busy machine sends fewer, and loses some.
	if sent := report.PacketsSent; sent < 60 || sent > 260*uint64(1+report.DurationS) || report.PacketsExpected != 2*sent {
		t.Errorf("%d packets sent, %d expected", sent, report.PacketsExpected)
	}
	if report.Loss > 0.5 || report.PacketsReceived > report.PacketsExpected || report.BytesReceived <= report.BytesSent {
		t.Errorf("%+v", report)
	}
	if report.LatencyP50MS <= 0 || report.LatencyP99MS < report.LatencyP50MS || report.JoinP50MS <= 0 || report.JoinP99MS < report.JoinP50MS {
		t.Errorf("%+v", report)
	}
	if joins := report.JoinsMS; len(joins) != 6 || !slices.IsSorted(joins) || joins[3] != report.JoinP50MS {
		t.Errorf("joins took %v ms, half of them %v", joins, report.JoinP50MS)
	}
	if stderr.String() != "measuring: every participant receives all others, for 500ms\nmeasured\n" {
		t.Errorf("stderr: %s", &stderr)
	}
	checkRoomIsEmpty(t, server)
}

func TestLoadNeedsItsEnvironment(t *testing.T) {
	cmd := engineCommand("load", "--publishers", "0")
	cmd.Env = append(cmd.Env, "LIVEKIT_URL=", "LIVEKIT_API_KEY=", "LIVEKIT_API_SECRET=")
	stdout, _ := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != failure.ExitUsage {
		t.Errorf("exit code %d", got)
	}
	for _, says := range []string{"LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "--publishers 0"} {
		checkFailureLine(t, stdout, "usage", says)
	}
}

func TestLoadReportsARefusedToken(t *testing.T) {
	server := startSFU(t, enginetest.FreePort(t), "0", "")
	cmd := engineCommand("load", "--duration", "1s")
	cmd.Env = append(cmd.Env, "LIVEKIT_URL="+server.URL, "LIVEKIT_API_KEY="+calltest.Key, "LIVEKIT_API_SECRET=wrong")
	stdout, _ := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != failure.ExitNotWell || bytes.Contains(stdout, []byte("eyJ")) {
		t.Errorf("exit code %d: %s", got, stdout)
	}
	checkFailureLine(t, stdout, "load", "publisher-0: join: HTTP 401")
}

// The server is 127.0.0.1 over TLS, with its own authority, as a hub's edge is.
func TestLoadTrustsTheGivenAuthority(t *testing.T) {
	server := startSFU(t, enginetest.FreePort(t), "0", "")
	authority := certtest.NewAuthority(t, "Hub CA")
	tlsPort := startTLS(t, authority.Issue(t, []string{"127.0.0.1"}, nil), toPort(server.URL[strings.LastIndex(server.URL, ":")+1:]))
	through := func(args ...string) ([]byte, error) {
		cmd := engineCommand(append([]string{"load", "--video-kbps", "0", "--duration", "100ms"}, args...)...)
		cmd.Env = append(cmd.Env, "LIVEKIT_URL=wss://127.0.0.1:"+tlsPort, "LIVEKIT_API_KEY="+calltest.Key, "LIVEKIT_API_SECRET="+calltest.Secret)
		return cmd.Output()
	}
	if stdout, err := through("--ca-file", authority.File(t)); err != nil {
		t.Errorf("%v: %s", err, stdout)
	}
	stdout, _ := through()
	checkFailureLine(t, stdout, "load", "unknown authority")
	stdout, _ = through("--ca-file", "/nowhere")
	checkFailureLine(t, stdout, "usage", "--ca-file: open /nowhere")
}

func TestLoadThroughARelay(t *testing.T) {
	peer := loopbackPort(t, enginetest.FreePort(t))
	relay, listen := startRelay(t, peer, 4)
	authority := certtest.NewAuthority(t, "Hub CA")
	tlsPort := startTLS(t, authority.Issue(t, []string{"127.0.0.1"}, nil), toRelay(relay))
	credential := turntest.CredentialFor("PA_load", time.Hour)
	through := func(server, password string) []byte {
		t.Helper()
		cmd := engineCommand("load", "relay", "--server", server, "--peer", peer.String(), "--ca-file", authority.File(t),
			"--allocations", "4", "--rate", "400", "--size", "1000", "--duration", "500ms")
		cmd.Env = append(cmd.Env, "TURN_USERNAME="+credential.Username, "TURN_PASSWORD="+password)
		stdout, _ := cmd.Output()
		return stdout
	}
	for name, server := range map[string]string{
		"udp": "turn:" + listen + "?transport=udp", "tls": "turns:127.0.0.1:" + tlsPort + "?transport=tcp",
	} {
		t.Run(name, func(t *testing.T) {
			stdout := through(server, credential.Password)
			var report load.RelayReport
			if err := json.Unmarshal(stdout, &report); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s", stdout)
			if report.PacketsSent < 40 || report.PacketsSent > 250*uint64(1+report.DurationS) || report.Loss > 0.5 {
				t.Errorf("%+v", report)
			}
			if relayed := report.PacketsRelayed; relayed < 2*report.PacketsReturned || relayed > 2*report.PacketsSent {
				t.Errorf("%d packets relayed: %+v", relayed, report)
			}
			if report.RoundTripP50MS <= 0 || report.RoundTripP99MS < report.RoundTripP50MS {
				t.Errorf("%+v", report)
			}
			enginetest.Eventually(t, "its allocations are given back", func() bool { return relay.Allocations() == 0 })
		})
	}
	t.Run("that refuses it", func(t *testing.T) {
		checkFailureLine(t, through("turn:"+listen+"?transport=udp", "wrong"), "load", "allocation ")
	})
}

func TestLoadThroughAProxy(t *testing.T) {
	backEnd := "127.0.0.1:" + enginetest.FreePort(t)
	authority := certtest.NewAuthority(t, "Hub CA")
	_, port, _ := net.SplitHostPort(backEnd)
	tlsPort := startTLS(t, authority.Issue(t, []string{"127.0.0.1"}, nil), toPort(port))
	cmd := engineCommand("load", "signal", "--url", "wss://127.0.0.1:"+tlsPort+"/rtc", "--back-end", backEnd,
		"--ca-file", authority.File(t), "--connections", "3", "--duration", "200ms")
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	var report load.SignalReport
	if err := json.Unmarshal(stdout, &report); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", stdout)
	if report.Connections != 3 || report.Size < 100 || report.Messages < 6 || report.RoundTripP50MS <= 0 || report.DurationS < 0.2 {
		t.Errorf("%+v", report)
	}
}

func TestLoadIsTooMuch(t *testing.T) {
	for says, args := range map[string][]string{
		"--rate 900000":     {"load", "relay", "--server", "turn:127.0.0.1:1?transport=udp", "--rate", "900000"},
		"TURN_USERNAME":     {"load", "relay", "--server", "turn:127.0.0.1:1?transport=udp"},
		"--connections -1":  {"load", "signal", "--url", "ws://127.0.0.1:1", "--back-end", "127.0.0.1:1", "--connections", "-1"},
		"--joins-at-once 0": {"load", "--joins-at-once", "0"},
	} {
		cmd := engineCommand(args...)
		cmd.Env = append(cmd.Env, "TURN_USERNAME=", "TURN_PASSWORD=")
		stdout, _ := cmd.Output()
		if got := cmd.ProcessState.ExitCode(); got != failure.ExitUsage {
			t.Errorf("%s: exit code %d", says, got)
		}
		checkFailureLine(t, stdout, "usage", says)
	}
}
