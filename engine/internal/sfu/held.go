package sfu

import (
	"net"
	"net/http"

	"lkhub/engine/internal/connlimit"
	"lkhub/engine/internal/private"
)

// heldSockets are listening sockets that the supervisor opened and keeps: while this process restarts, who connects
// waits in their queue instead of being refused.
type heldSockets []net.Listener

// privatePort finds a port on loopback for the listener that livekit-server insists on opening itself.
func privatePort() (uint32, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return uint32(listener.Addr().(*net.TCPAddr).Port), nil
}

// serveHeld lets the HTTP server of a *service.LivekitServer accept from the held sockets too; its Stop then closes them with the
// rest. The server opens its listeners by itself and exports no way to give it one; if the field is renamed,
// TestMediaServesInheritedListener fails.
func serveHeld(server any, held heldSockets, counter *connlimit.Counter) {
	httpServer := *private.Field[*http.Server](server, "httpServer")
	for _, listener := range held {
		go func() { _ = httpServer.Serve(bound(listener, "signalling", counter, true)) }() // ends with the server
	}
}
