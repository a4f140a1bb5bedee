package main

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/turntest"
)

func TestCPUProfileIsWholeAfterAStop(t *testing.T) {
	dir := t.TempDir()
	secret, config := filepath.Join(dir, "relay.secret"), filepath.Join(dir, "relay.json")
	control, record := filepath.Join(dir, "c"), filepath.Join(dir, "cpu.pprof")
	enginetest.WritePrivate(t, map[string]string{secret: turntest.Secret, config: enginetest.RelayJSON("127.0.0.1:"+enginetest.FreePort(t), secret)})
	relay := engineCommand("relay", "--config", config, "--control", control, "--cpuprofile", record)
	if err := relay.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = relay.Process.Kill() })
	ended := make(chan error, 1)
	go func() { ended <- relay.Wait() }()
	enginetest.AskControl(t, control, "/ready")
	_ = relay.Process.Signal(syscall.SIGTERM)
	waitForExit(t, relay, ended)

	file, err := os.Open(record)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	if size, err := io.Copy(io.Discard, text); err != nil || size == 0 { // a record that was cut off ends in an error
		t.Errorf("%d bytes: %v", size, err)
	}
}

func TestCPUProfileThatCannotBeWritten(t *testing.T) {
	cmd := engineCommand("relay", "--config", "a", "--control", "b", "--cpuprofile", filepath.Join(t.TempDir(), "none", "p"))
	stdout, _ := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != failure.ExitUsage {
		t.Errorf("exit code %d", got)
	}
	checkFailureLine(t, stdout, "usage", "--cpuprofile")
}
