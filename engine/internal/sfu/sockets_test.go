package sfu

import (
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/sfu/config"
)

// The field of livekit-server is still found, and clients are told the same address as before.
func TestMediaBatchesWrites(t *testing.T) {
	keyFile, port := filepath.Join(t.TempDir(), "keys.yaml"), enginetest.FreePort(t)
	enginetest.WritePrivate(t, map[string]string{keyFile: "APIkey: " + strings.Repeat("s", 32)})
	conf, err := config.DecodeStrict(enginetest.LiveKitYAML(enginetest.FreePort(t), port, keyFile, ""))
	if err != nil {
		t.Fatal(err)
	}
	server := New("", nil, nil)
	if err := server.initialize(conf); err != nil {
		t.Fatal(err)
	}
	transport := transportOf(server.server.RoomManager())
	t.Cleanup(func() { _ = transport.UDPMux.Close() })
	opened, err := batchWrites(transport, nil, &server.sends, server.first) // a second time, since it must also work on its own sockets
	if err != nil || opened != 1 {
		t.Errorf("%d sockets on %s: %v", opened, runtime.GOOS, err)
	}
	addresses := transport.UDPMux.GetListenAddresses()
	if len(addresses) != 1 || addresses[0].(*net.UDPAddr).String() != "127.0.0.1:"+port {
		t.Errorf("%v", addresses)
	}
}
