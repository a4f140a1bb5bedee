package process

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lkhub/engine/internal/failure"
)

func TestControlSocketIsPrivateAndReplacesAStaleOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	leaveStale(t, path)
	listener, err := listenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode().Perm())
	}
}

func TestControlSocketTakesNothingFromOthers(t *testing.T) {
	for _, c := range []struct {
		name string
		put  func(t *testing.T, path string)
		says string
	}{
		{"a live process", func(t *testing.T, path string) {
			listener, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
		}, "another process"},
		{"a file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a socket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "c")
			c.put(t, path)
			_, err := listenControl(path)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v, want %q", err, c.says)
			}
			if f := failure.Of(err); f.Exit != failure.ExitMachine {
				t.Errorf("exit code %d, want %d", f.Exit, failure.ExitMachine)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("what was there is gone: %v", err)
			}
		})
	}
}

// leaveStale leaves a socket on which no process listens, as a killed process does.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	listener.Close()
}
