package load

import (
	"io"
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

// echo is a server that sends back every WebSocket message. It replaces media's signalling, whose own work for each
// message would hide what the proxy costs.
type echo struct{ server *http.Server }

func listenEcho(address string) (*echo, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	e := &echo{&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for passMessage(conn, conn) == nil {
		}
	})}}
	go func() { _ = e.server.Serve(listener) }()
	return e, nil
}

// close does not end upgraded connections: those end with the proxy's.
func (e *echo) close() { _ = e.server.Close() }

// passMessage reads a message and sends it to another connection, if there is one.
func passMessage(from, to *websocket.Conn) error {
	kind, message, err := from.NextReader()
	if err != nil {
		return err
	}
	if to == nil {
		_, err = io.Copy(io.Discard, message)
		return err
	}
	answer, err := to.NextWriter(kind)
	if err != nil {
		return err
	}
	if _, err = io.Copy(answer, message); err != nil {
		return err
	}
	return answer.Close()
}
