package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/failure"
)

// A request that is made while no server runs is answered by the next one, and the configured port stays the held
// socket's.
func TestMediaServesInheritedListener(t *testing.T) {
	dir := t.TempDir()
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	inherited, err := held.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	port := strconv.Itoa(held.Addr().(*net.TCPAddr).Port)
	keyFile, configFile, control := filepath.Join(dir, "keys.yaml"), filepath.Join(dir, "livekit.yaml"), filepath.Join(dir, "c")
	enginetest.WritePrivate(t, map[string]string{
		keyFile: "APIkey: " + strings.Repeat("s", 32), configFile: enginetest.LiveKitYAML(port, enginetest.FreePort(t), keyFile, ""),
	})
	for range 2 {
		answered := make(chan string, 1)
		go func() { answered <- get("http://127.0.0.1:" + port) }()

		media := engineCommand("media", "--config", configFile, "--control", control, "--listen-fd", "3")
		media.ExtraFiles = []*os.File{inherited}
		if err := media.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = media.Process.Kill() })
		ended := make(chan error, 1)
		go func() { ended <- media.Wait() }()
		enginetest.AskControl(t, control, "/ready")
		if got := <-answered; got != "OK" {
			t.Errorf("the request that waited was answered %q", got)
		}
		_ = media.Process.Signal(syscall.SIGTERM)
		waitForExit(t, media, ended)
		if code := media.ProcessState.ExitCode(); code != failure.ExitOK {
			t.Errorf("exit code %d", code)
		}
	}
}

// Two processes accept from one socket. Once the first one hands over, no request reaches it any more, not even over a
// connection that was kept.
func TestMediaHandsItsClientsOver(t *testing.T) {
	dir := t.TempDir()
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	inherited, err := held.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	port := strconv.Itoa(held.Addr().(*net.TCPAddr).Port)
	keyFile := filepath.Join(dir, "keys.yaml")
	enginetest.WritePrivate(t, map[string]string{keyFile: calltest.Key + ": " + calltest.Secret})
	start := func(name string) (*exec.Cmd, string) {
		config, control := filepath.Join(dir, name+".yaml"), filepath.Join(dir, name)
		enginetest.WritePrivate(t, map[string]string{config: enginetest.LiveKitYAML(port, enginetest.FreePort(t), keyFile, "")})
		media := engineCommand("media", "--config", config, "--control", control, "--listen-fd", "3")
		media.ExtraFiles = []*os.File{inherited}
		if err := media.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = media.Process.Kill()
			_ = media.Wait()
		})
		enginetest.AskControl(t, control, "/ready")
		return media, control
	}
	first, control := start("1")
	calltest.Server{URL: "ws://127.0.0.1:" + port, Control: control}.SignIn(t, "room", "one") // until the end of the test
	keeps := &http.Client{Timeout: 2 * time.Second}
	ask := func() (closes bool) {
		t.Helper()
		response, err := keeps.Get("http://127.0.0.1:" + port)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.Close
	}
	if ask() {
		t.Fatal("the connection is not kept, and this test shows nothing")
	}
	start("2")
	response, err := enginetest.ControlClient(control).Post("http://control/drain", "application/json", strings.NewReader(`{"seconds": 60, "hand_over": true}`))
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response, err)
	}
	response.Body.Close()
	if err := first.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		ask() // the first one could not answer
	}
}

// get returns the body of an answer, or what went wrong.
func get(url string) string {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

func TestListenFDMustBeAListeningSocket(t *testing.T) {
	dir := t.TempDir()
	keyFile, configFile := filepath.Join(dir, "keys.yaml"), filepath.Join(dir, "livekit.yaml")
	enginetest.WritePrivate(t, map[string]string{
		keyFile: "APIkey: " + strings.Repeat("s", 32), configFile: enginetest.LiveKitYAML(enginetest.FreePort(t), enginetest.FreePort(t), keyFile, ""),
	})
	for _, fd := range []string{"1", "x", "77"} {
		var stdout bytes.Buffer
		media := engineCommand("media", "--config", configFile, "--control", filepath.Join(dir, "c"), "--listen-fd", fd)
		media.Stdout = &stdout
		_ = media.Run()
		if code := media.ProcessState.ExitCode(); code != failure.ExitUsage {
			t.Errorf("--listen-fd %s: exit code %d", fd, code)
		}
		checkFailureLine(t, stdout.Bytes(), "usage", "listen-fd")
	}
}
