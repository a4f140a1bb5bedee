package main

import (
	"path/filepath"
	"syscall"
	"testing"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/process"
	"lkhub/engine/internal/turntest"
)

func TestRelayProcess(t *testing.T) {
	dir := t.TempDir()
	secret, config, control := filepath.Join(dir, "s"), filepath.Join(dir, "relay.json"), filepath.Join(dir, "c")
	text := enginetest.RelayJSON("127.0.0.1:"+enginetest.FreePort(t), secret)
	enginetest.WritePrivate(t, map[string]string{secret: turntest.Secret, config: text})
	cmd := engineCommand("relay", "--config", config, "--control", control)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if status := enginetest.AskControl(t, control, "/ready"); status["state"] != string(process.Running) || status["allocations"] != 0.0 {
		t.Errorf("ready: %v", status)
	} else {
		checkKeys(t, "relay-status", status)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	waitForExit(t, cmd, ended)
	if code := cmd.ProcessState.ExitCode(); code != failure.ExitOK {
		t.Errorf("exit code %d", code)
	}
}
