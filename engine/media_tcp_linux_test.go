package main

import (
	"testing"

	"golang.org/x/sys/unix"

	"lkhub/engine/internal/enginetest"
)

// The accept loop of pion ends at its first error.
func TestICEOverTCPSurvivesRunningOutOfDescriptors(t *testing.T) {
	port, pid, told := startMediaTCP(t, "300")
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Fatal(err)
	}
	// This has the same effect as using all descriptors: no descriptor has a number that is allowed.
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: before.Max}, nil); err != nil {
		t.Fatal(err)
	}
	waiting := dialICE(t, "127.0.0.1", port)
	// A question on the control socket would need a descriptor as well.
	if !isOpen(waiting) {
		t.Error("the client that waits is shut out")
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil); err != nil {
		t.Fatal(err)
	}
	enginetest.Eventually(t, "the client that waited is connected", func() bool { return told()["open"].(float64) == 1 })
	if failure, _ := told()["failure"].(map[string]any); failure == nil {
		t.Error("that connections could not be accepted is not told")
	}
}
