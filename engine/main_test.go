package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/failure"
)

// asEngine makes the test binary behave as the engine: tests run the real program, including its exit codes.
const asEngine = "LKHUB_TEST_AS_ENGINE"

func TestMain(m *testing.M) {
	if os.Getenv(asEngine) != "" {
		main()
	}
	os.Exit(m.Run())
}

func engineCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asEngine+"=1")
	return cmd
}

func TestFailuresSayWhatAndExit(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	taken, takenUDP := occupyTCP(t), occupyUDP(t)
	keys := write("keys.yaml", "APIkey: "+strings.Repeat("s", 32), 0o600)
	secret := write("relay.secret", "secret", 0o600)
	open := write("open.secret", "secret", 0o644)
	config := func(name, http, udp string) string {
		return write(name, enginetest.LiveKitYAML(http, udp, keys, ""), 0o600)
	}
	relay := func(name, listen, secret string) string {
		return write(name, enginetest.RelayJSON(listen, secret), 0o600)
	}
	control := filepath.Join(dir, "c")
	tooLong := filepath.Join(dir, strings.Repeat("x", 120))

	for _, c := range []struct {
		name string
		args []string
		exit int
		code string
		says string
	}{
		{"no subcommand", nil, 2, "usage", "subcommand"},
		{"unknown subcommand", []string{"medai"}, 2, "usage", "medai"},
		{"unknown flag", []string{"media", "--nope"}, 2, "usage", "nope"},
		{"flags missing", []string{"media"}, 2, "usage", "--config"},
		{"an argument too many", []string{"media", "--config", "a", "--control", "b", "c"}, 2, "usage", "1 arguments"},
		{"no such file", []string{"media", "--config", "/nowhere", "--control", control}, 2, "config", "/nowhere"},
		{"check-config of no file", []string{"check-config", "/nowhere"}, 2, "config", "/nowhere"},
		{"bad livekit.yaml", []string{"media", "--config", write("bad.yaml", "prot: 1", 0o600), "--control", control}, 2, "config", "line 1: field prot not found"},
		{"HTTP port taken", []string{"media", "--config", config("http.yaml", taken, "0"), "--control", control}, 3, "address-in-use", "127.0.0.1:" + taken},
		{"UDP port taken", []string{"media", "--config", config("udp.yaml", enginetest.FreePort(t), takenUDP), "--control", control}, 3, "address-in-use", "127.0.0.1:" + takenUDP},
		{"control path too long", []string{"media", "--config", config("ok.yaml", enginetest.FreePort(t), "0"), "--control", tooLong}, 3, "control-socket", "shorter"},
		{"control in no directory", []string{"media", "--config", config("ok.yaml", enginetest.FreePort(t), "0"), "--control", "/nowhere/c"}, 3, "control-socket", "/nowhere"},
		{"bad relay.json", []string{"relay", "--config", write("bad.json", `{"listne": 1}`, 0o600), "--control", control}, 2, "config", "listne"},
		{"wrong relay.json", []string{"relay", "--config", write("wrong.json", `{"quota": 0}`, 0o600), "--control", control}, 2, "config", "listen is missing"},
		{"relay port taken", []string{"relay", "--config", relay("taken.json", "127.0.0.1:"+takenUDP, secret), "--control", control}, 3, "address-in-use", "127.0.0.1:" + takenUDP},
		{"not our address", []string{"relay", "--config", relay("foreign.json", "192.0.2.1:3478", secret), "--control", control}, 3, "address-not-available", "192.0.2.1"},
		{"no address to advertise", []string{"media", "--advertise", "10.0.0.5", "--config", "a", "--control", control}, 2, "usage", "LOCAL=EXTERNAL"},
		{"another machine's address", []string{"media", "--advertise", "192.0.2.1=203.0.113.5", "--config", config("foreign.yaml", enginetest.FreePort(t), enginetest.FreePort(t)), "--control", control},
			3, "address-not-available", "--advertise 192.0.2.1=203.0.113.5: media can listen on none of these, but on [127.0.0.1:"},
		{"open secret", []string{"relay", "--config", relay("open.json", "127.0.0.1:1", open), "--control", control}, 2, "config", "chmod o-rwx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := engineCommand(c.args...)
			var stdout bytes.Buffer
			cmd.Stdout = &stdout
			_ = cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != c.exit {
				t.Errorf("exit code %d, want %d; stdout: %s", got, c.exit, &stdout)
			}
			checkFailureLine(t, stdout.Bytes(), c.code, c.says)
		})
	}
}

func checkFailureLine(t *testing.T, stdout []byte, code, says string) {
	t.Helper()
	var line struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(stdout, &line); err != nil {
		t.Fatalf("stdout is not one JSON object: %v: %q", err, stdout)
	}
	if line.Error.Code != code || !strings.Contains(line.Error.Message, says) {
		t.Errorf("error %+v, want code %q and %q in the message", line.Error, code, says)
	}
}

func TestPanicIsABug(t *testing.T) {
	defer func(real []command) { commands = real }(commands)
	commands = []command{{"boom", "", func([]string, io.Reader, io.Writer, io.Writer) int { panic("boom") }}}
	var stdout, stderr bytes.Buffer
	if code := run([]string{"boom"}, nil, &stdout, &stderr); code != failure.ExitBug {
		t.Errorf("exit code %d, want %d", code, failure.ExitBug)
	}
	checkFailureLine(t, stdout.Bytes(), "bug", "boom")
	if !strings.Contains(stderr.String(), "main_test.go") {
		t.Errorf("no stack trace on stderr: %s", &stderr)
	}
}

func TestHelpListsEverySubcommand(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"help"}, nil, &stdout, &stderr); code != failure.ExitOK || stdout.Len() > 0 {
		t.Errorf("exit code %d, stdout %q", code, &stdout)
	}
	for _, c := range commands {
		if !strings.Contains(stderr.String(), c.name) {
			t.Errorf("help does not mention %s", c.name)
		}
	}
}

func TestVersionsComeFromTheBuild(t *testing.T) {
	out, err := engineCommand("version").Output()
	if err != nil {
		t.Fatal(err)
	}
	var versions map[string]string
	if err := json.Unmarshal(out, &versions); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"engine", "livekit", "pion_turn", "go"} {
		if versions[name] == "" || strings.HasPrefix(versions[name], "v") {
			t.Errorf("version of %s is %q", name, versions[name])
		}
	}
}

// occupyTCP listens on a port of 127.0.0.1 until the test ends, and returns its number.
func occupyTCP(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

func occupyUDP(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port)
}
