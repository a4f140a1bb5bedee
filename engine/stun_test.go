package main

import (
	"net"
	"strings"
	"testing"

	"lkhub/engine/internal/failure"
)

func TestSTUNTellsTheAddressThatTheServerSees(t *testing.T) {
	_, address := startRelay(t, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7882}, 24)
	out, err := engineCommand("stun", "--server", address).Output()
	if err != nil || strings.TrimSpace(string(out)) != `{"version":1,"address":"127.0.0.1"}` {
		t.Errorf("%s: %v", out, err)
	}
}

func TestSTUNGivesUpOnSilence(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cmd := engineCommand("stun", "--server", silent.LocalAddr().String(), "--timeout", "300ms")
	out, _ := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != failure.ExitNotWell {
		t.Errorf("exit code %d", got)
	}
	checkFailureLine(t, out, "no-answer", "300ms")
}

func TestSTUNNeedsItsServer(t *testing.T) {
	cmd := engineCommand("stun")
	out, _ := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != failure.ExitUsage {
		t.Errorf("exit code %d", got)
	}
	checkFailureLine(t, out, "usage", "--server")
}
