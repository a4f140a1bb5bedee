package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/probe"
	"lkhub/engine/internal/turntest"
)

// startSFU starts an SFU on loopback, with ICE over TCP unless tcp is "0", and with these turn_servers and advertised
// addresses.
func startSFU(t *testing.T, udp, tcp, turnServers string, advertise ...string) calltest.Server {
	t.Helper()
	return startSFUAt(t, "127.0.0.1", udp, tcp, turnServers, advertise...)
}

func startSFUAt(t *testing.T, host, udp, tcp, turnServers string, advertise ...string) calltest.Server {
	t.Helper()
	return startSFUOn(t, "lo", host, udp, tcp, turnServers, advertise...)
}

// startSFUOn starts an SFU with media on these interfaces.
func startSFUOn(t *testing.T, interfaces, host, udp, tcp, turnServers string, advertise ...string) calltest.Server {
	t.Helper()
	dir := t.TempDir()
	keyFile, configFile, control := filepath.Join(dir, "keys.yaml"), filepath.Join(dir, "livekit.yaml"), filepath.Join(dir, "c")
	port := enginetest.FreePortAt(t, host)
	yaml := strings.Replace(enginetest.LiveKitYAML(port, udp, keyFile, turnServers), "tcp_port: 0", "tcp_port: "+tcp, 1)
	yaml = strings.NewReplacer(
		"[127.0.0.1]", fmt.Sprintf("[%q]", host), "node_ip: 127.0.0.1", fmt.Sprintf("node_ip: %q", host), "[lo]", "["+interfaces+"]",
	).Replace(yaml)
	enginetest.WritePrivate(t, map[string]string{keyFile: calltest.Key + ": " + calltest.Secret + "\n", configFile: yaml})
	args := []string{"media", "--config", configFile, "--control", control, "--drain", "1ms"}
	for _, address := range advertise {
		args = append(args, "--advertise", address)
	}
	media := engineCommand(args...)
	startMedia(t, media)
	enginetest.AskControl(t, control, "/ready")
	return calltest.Server{URL: "ws://" + net.JoinHostPort(host, port), Control: control}
}

// turnEntry is a relay to this peer alone, as an entry of turn_servers.
func turnEntry(t *testing.T, peer string) string {
	t.Helper()
	_, listen := startRelay(t, loopbackPort(t, peer), 24)
	host, port, _ := net.SplitHostPort(listen)
	return turnServer(t, host, port, "udp")
}

func loopbackPort(t *testing.T, port string) *net.UDPAddr {
	t.Helper()
	address, err := net.ResolveUDPAddr("udp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// turnServer is an entry of turn_servers with the tests' secret.
func turnServer(t *testing.T, host, port, protocol string) string {
	t.Helper()
	secretFile := filepath.Join(t.TempDir(), "relay.secret")
	enginetest.WritePrivate(t, map[string]string{secretFile: turntest.Secret})
	return fmt.Sprintf("{host: %q, port: %s, protocol: %s, secret_file: %s}", host, port, protocol, secretFile)
}

// runProbeOn probes paths with this many tokens each, and returns the results and the exit code.
func runProbeOn(t *testing.T, url, secret string, tokens int, timeout time.Duration, paths ...string) (map[string]probe.Result, int) {
	t.Helper()
	return runProbeWith(t, probe.Request{URL: url, TimeoutMS: int(timeout.Milliseconds()), MediaMS: 200}, secret, tokens, paths...)
}

func runProbeWith(t *testing.T, request probe.Request, secret string, tokens int, paths ...string) (map[string]probe.Result, int) {
	t.Helper()
	for _, path := range paths {
		p := probe.PathRequest{Path: path}
		for i := range tokens {
			p.Tokens = append(p.Tokens, calltest.Token(t, secret, t.Name()+path, fmt.Sprint(path, i)))
		}
		request.Paths = append(request.Paths, p)
	}
	stdin, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := engineCommand("probe")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	_ = cmd.Run()
	if stderr.Len() > 0 || strings.Contains(stdout.String(), "eyJ") {
		t.Errorf("stdout %s, stderr %s", &stdout, &stderr)
	}
	results := map[string]probe.Result{}
	for decoder := json.NewDecoder(&stdout); decoder.More(); {
		var result probe.Result
		if err := decoder.Decode(&result); err != nil {
			t.Fatal(err)
		}
		results[result.Path] = result
	}
	return results, cmd.ProcessState.ExitCode()
}

// verdict is a result's ok and stage, as in "true media".
func verdict(r probe.Result) string {
	if r.OK == nil {
		return "null " + string(r.Stage)
	}
	return fmt.Sprint(*r.OK, " ", r.Stage)
}

const (
	enough = 10 * time.Second
	short  = 3 * time.Second // for paths that can't work: half of it is for getting there on a slow machine
)

func TestProbeProvesEachPathAlone(t *testing.T) {
	udp, tcp := enginetest.FreePort(t), enginetest.FreePort(t)
	servers, caFile := turnBothWays(t, udp)
	server := startSFU(t, udp, tcp, servers)
	results, code := runProbeWith(t, hubRequest(server.URL, caFile, enough), calltest.Secret, 2, "udp", "tcp", "turn-udp", "turn-tls")
	if code != failure.ExitOK || len(results) != 4 {
		t.Fatalf("exit code %d: %+v", code, results)
	}
	ends := map[string][3]string{ // local, remote, relay
		"udp":      {"udp host 127.0.0.1:", "udp host 127.0.0.1:" + udp, ""},
		"tcp":      {"tcp host 127.0.0.1:", "tcp host 127.0.0.1:" + tcp, ""},
		"turn-udp": {"udp relay 127.0.0.1:2", "udp host 127.0.0.1:" + udp, "turn:127.0.0.1:"},
		"turn-tls": {"udp relay 127.0.0.1:2", "udp host 127.0.0.1:" + udp, "turns:" + hubName + ":"},
	}
	for path, result := range results {
		t.Logf("%s: %s, %.1f ms to connect", path, result.Detail, *result.ConnectMS)
		if verdict(result) != "true media" || *result.Loss > 0.5 || result.RTTMS == nil {
			t.Errorf("%+v", result)
		}
		if !strings.HasPrefix(*result.Local, ends[path][0]) || *result.Remote != ends[path][1] {
			t.Errorf("%s went from %s to %s", path, *result.Local, *result.Remote)
		}
		if relay := ends[path][2]; (result.Relay != nil) != (relay != "") || (relay != "" && !strings.HasPrefix(*result.Relay, relay)) {
			t.Errorf("%s: relay %v", path, result.Relay)
		}
	}
	checkRoomIsEmpty(t, server)
}

// checkRoomIsEmpty gives media a moment to notice that participants leave. Participants that only dropped their
// connections would stay for longer.
func checkRoomIsEmpty(t *testing.T, server calltest.Server) {
	t.Helper()
	for deadline := time.Now().Add(enginetest.Patience); ; time.Sleep(10 * time.Millisecond) {
		var status struct{ Rooms []struct{ Participants int } }
		text, _ := json.Marshal(enginetest.AskControl(t, server.Control, "/status"))
		if err := json.Unmarshal(text, &status); err != nil {
			t.Fatal(err)
		}
		left := 0
		for _, room := range status.Rooms {
			left += room.Participants
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still there: %s", text)
		}
	}
}

func TestProbeOfAConnectionAlone(t *testing.T) {
	udp, tcp := enginetest.FreePort(t), enginetest.FreePort(t)
	server := startSFU(t, udp, tcp, turnEntry(t, udp))
	results, code := runProbeOn(t, server.URL, calltest.Secret, 1, enough, "udp", "tcp", "turn-udp")
	for path, result := range results {
		if verdict(result) != "null dtls" || result.ConnectMS == nil || !strings.Contains(result.Detail, "second token") {
			t.Errorf("%s: %+v", path, result)
		}
	}
	if code != failure.ExitNotWell || len(results) != 3 {
		t.Errorf("exit code %d: %+v", code, results)
	}
	checkRoomIsEmpty(t, server)
}

func TestProbeSaysWhatIsNotOffered(t *testing.T) {
	server := startSFU(t, enginetest.FreePort(t), "0", "")
	results, code := runProbeOn(t, server.URL, calltest.Secret, 2, enough, "tcp", "turn-udp", "turn-tls")
	if code != failure.ExitNotWell || verdict(results["tcp"]) != "null join" || verdict(results["turn-udp"]) != "null join" || verdict(results["turn-tls"]) != "null join" {
		t.Errorf("exit code %d: %+v", code, results)
	}
	if got := results["turn-udp"].Detail + ", " + results["turn-tls"].Detail; got != "no TURN over UDP offered, no TURN over TLS offered" {
		t.Error(got)
	}
	if got := results["tcp"].Detail; !strings.HasPrefix(got, "no ICE over TCP offered (but udp 127.0.0.1:") {
		t.Errorf("tcp: %s", got)
	}
}

func TestProbeNamesTheStageThatFails(t *testing.T) {
	udp := enginetest.FreePort(t)
	server := startSFU(t, udp, "0", turnEntry(t, enginetest.FreePort(t))) // the relay may not reach the SFU
	for name, c := range map[string]struct {
		url, secret, path, verdict, says string
	}{
		"nothing listens":   {"ws://127.0.0.1:" + enginetest.FreePort(t), calltest.Secret, "udp", "false tcp", "connection refused"},
		"wrong secret":      {server.URL, strings.Repeat("x", 32), "udp", "false token", "signature is invalid"},
		"a relay elsewhere": {server.URL, calltest.Secret, "turn-udp", "false connect", "to udp 127.0.0.1:" + udp + " without a reply"},
	} {
		t.Run(name, func(t *testing.T) {
			results, code := runProbeOn(t, c.url, c.secret, 2, short, c.path)
			result := results[c.path]
			if code != failure.ExitNotWell || verdict(result) != c.verdict || !strings.Contains(result.Detail, c.says) {
				t.Errorf("exit code %d: %+v", code, result)
			}
			t.Log(result.Detail)
		})
	}
	checkRoomIsEmpty(t, server)
}

func TestProbeRefusesAWrongRequest(t *testing.T) {
	var stdout bytes.Buffer
	cmd := engineCommand("probe")
	cmd.Stdin, cmd.Stdout = strings.NewReader(`{"url": "ws://127.0.0.1:1", "pahts": []}`), &stdout
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != failure.ExitUsage {
		t.Errorf("exit code %d", got)
	}
	checkFailureLine(t, stdout.Bytes(), "request", "pahts")
}

// The probe runs in this process, so that what it leaves running can be counted.
func TestProbeLeavesNothingBehind(t *testing.T) {
	udp, tcp := enginetest.FreePort(t), enginetest.FreePort(t)
	servers, caFile := turnBothWays(t, enginetest.FreePort(t))
	server := startSFU(t, udp, tcp, servers)
	before := runtime.NumGoroutine()
	request := fmt.Sprintf(`{"url": %q, "timeout_ms": %d, "media_ms": 20, "ca_file": %q, "resolve": {%q: "127.0.0.1"}, "paths": [`,
		server.URL, short.Milliseconds(), caFile, hubName)
	for i, path := range []string{"udp", "tcp", "turn-udp", "turn-tls"} { // the last two fail
		request += strings.Repeat(",", min(i, 1)) + fmt.Sprintf(`{"path": %q, "tokens": [%q, %q]}`,
			path, calltest.Token(t, calltest.Secret, path, "a"), calltest.Token(t, calltest.Secret, path, "b"))
	}
	parsed, err := probe.ReadRequest(strings.NewReader(request + "]}"))
	if err != nil {
		t.Fatal(err)
	}
	verdicts := map[string]string{}
	probe.Run(t.Context(), parsed, func(r probe.Result) { verdicts[r.Path] = verdict(r) })
	if verdicts["udp"] != "true media" || verdicts["tcp"] != "true media" || verdicts["turn-udp"] != "false connect" || verdicts["turn-tls"] != "false connect" {
		t.Errorf("%v", verdicts)
	}
	for deadline := time.Now().Add(enough); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines more than before:\n%s", runtime.NumGoroutine()-before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
