package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"lkhub/engine/internal/enginetest"
)

// startMediaTCP runs media with ICE over TCP and few descriptors. told returns the status of such connections.
func startMediaTCP(t *testing.T, files string) (port string, pid int, told func() map[string]any) {
	t.Helper()
	dir, err := os.MkdirTemp("", "media") // t.TempDir's is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	keyFile, configFile, control := filepath.Join(dir, "keys.yaml"), filepath.Join(dir, "livekit.yaml"), filepath.Join(dir, "c")
	port = enginetest.FreePort(t)
	yaml := strings.Replace(enginetest.LiveKitYAML(enginetest.FreePort(t), enginetest.FreePort(t), keyFile, ""), "tcp_port: 0", "tcp_port: "+port, 1)
	enginetest.WritePrivate(t, map[string]string{keyFile: "APIkey: " + strings.Repeat("s", 32), configFile: yaml})
	media := engineCommand("media", "--config", configFile, "--control", control)
	media.Args = append([]string{"/bin/sh", "-c", "ulimit -n " + files + `; exec "$0" "$@"`}, media.Args...)
	media.Path = "/bin/sh"
	startMedia(t, media)
	enginetest.AskControl(t, control, "/ready")
	return port, media.Process.Pid, func() map[string]any {
		connections := enginetest.AskControl(t, control, "/status")["connections"].(map[string]any)
		return connections["ice_tcp"].(map[string]any)
	}
}

// dialICE connects from an address of this machine and names a peer connection, as a client does.
func dialICE(t *testing.T, from, port string) net.Conn {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	message := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername("unknown:client"))
	_, _ = conn.Write(append([]byte{0, byte(len(message.Raw))}, message.Raw...))
	return conn
}

func isOpen(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	return os.IsTimeout(err)
}

func TestICEOverTCPIsBounded(t *testing.T) {
	port, _, told := startMediaTCP(t, "300")
	for range 300 { // sends nothing
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	var during map[string]any
	enginetest.Eventually(t, "one address is kept within bounds", func() bool {
		during = told()
		return during["refused"].(float64) > 200
	})
	if open, limit := during["open"].(float64), during["limit"].(float64); open < 20 || open > limit/2 {
		t.Errorf("one address got %v of %v", open, limit)
	}
	if refusal := during["refusal"].(map[string]any); refusal["client"] != "127.0.0.1" {
		t.Errorf("told: %v", refusal)
	}
	if !isOpen(dialICE(t, "127.0.1.1", port)) {
		t.Error("another address is shut out")
	}
	enginetest.Eventually(t, "connections that send nothing, or name no peer connection, are gone", func() bool {
		return told()["open"].(float64) == 0
	})
	if !isOpen(dialICE(t, "127.0.0.1", port)) {
		t.Error("the address of the flood stays shut out")
	}
}
