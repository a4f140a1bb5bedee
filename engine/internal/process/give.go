package process

import (
	"io"
	"log"
	"net"
	"net/http"
	"syscall"
)

// holder is an engine that accepts from sockets which the supervisor has opened. A supervisor that comes after that one
// asks for them, so that it can give them to a successor.
type holder interface {
	// Held are these sockets. Those that the engine has closed are not given.
	Held() []net.Listener
}

// giveSockets answers with one line for each socket, its address, to which a copy of its descriptor is attached
// (SCM_RIGHTS). Unlike pidfd_getfd, this needs no right to trace this process.
func giveSockets(w http.ResponseWriter, held []net.Listener) {
	hijacked, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		log.Printf("control socket: %v", err)
		return
	}
	defer hijacked.Close()
	client, ok := hijacked.(*net.UnixConn)
	if !ok {
		return
	}
	if _, err := io.WriteString(client, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"); err != nil {
		return // the client has left
	}
	for _, listener := range held {
		socket, ok := listener.(syscall.Conn)
		if !ok {
			continue
		}
		raw, err := socket.SyscallConn()
		if err != nil {
			continue
		}
		// Not by its File: Fd would make the socket blocking, here too, and Accept would hold a thread until a client comes.
		_ = raw.Control(func(fd uintptr) { // fails if the listener is closed
			_, _, _ = client.WriteMsgUnix([]byte(listener.Addr().String()+"\n"), syscall.UnixRights(int(fd)), nil)
		})
	}
}
