package sfu

import (
	"net"
	"net/http"

	"lkhub/engine/internal/connlimit"
	"lkhub/engine/internal/private"
)

// heldSockets are listening sockets that the supervisor opened and keeps. While this process restarts, new connections
// wait in the queues of these sockets instead of being refused.
type heldSockets []net.Listener

// privatePort finds a port on loopback for the listener that livekit-server always opens itself.
func privatePort() (uint32, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return uint32(listener.Addr().(*net.TCPAddr).Port), nil
}

// serveHeld lets the HTTP server of a *service.LivekitServer also accept from the held sockets. The server's Stop then
// closes them too. The server opens its own listeners and can't be given any. If the field is renamed,
// TestMediaServesInheritedListener fails.
func serveHeld(server any, held heldSockets, counter *connlimit.Counter) {
	httpServer := *private.Field[*http.Server](server, "httpServer")
	for _, listener := range held {
		go func() { _ = httpServer.Serve(bound(listener, "signalling", counter, true)) }() // ends with the server
	}
}

// Held are the held sockets.
func (s *Server) Held() []net.Listener { return s.held }

// HandOver leaves new clients to another process, which accepts from the same sockets. The connections that stay are
// those of calls: a kept connection of the edge would bring the next client here, and a worker gets jobs for new rooms
// where it is connected.
func (s *Server) HandOver() {
	select {
	case <-s.up:
	default:
		return // the held sockets are not served yet
	}
	for _, listener := range s.held {
		listener.Close()
	}
	(*private.Field[*http.Server](s.server, "httpServer")).SetKeepAlivesEnabled(false)
	s.keys.workers.closeAll()
}
