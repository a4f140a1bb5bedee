package main

import (
	"bytes"
	"os/exec"
	"testing"
)

// startMedia starts a media process, ends it with the test, and shows its log if the test fails. Cleanups that were
// registered before see the whole log.
func startMedia(t *testing.T, media *exec.Cmd) *bytes.Buffer {
	t.Helper()
	var log bytes.Buffer
	media.Stdout, media.Stderr = &log, &log // stdout has why it ended
	if err := media.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = media.Process.Kill()
		_ = media.Wait()
		if t.Failed() {
			t.Logf("media:\n%s", &log)
		}
	})
	return &log
}
