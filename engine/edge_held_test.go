package main

import (
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"lkhub/engine/internal/enginetest"
)

// inherit opens the edge's two ports as a supervisor does, for the processes of this test.
func (e *edgeTest) inherit() {
	e.Helper()
	for _, port := range []string{e.port, e.http} {
		held, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			e.Fatal(err)
		}
		file, err := held.(*net.TCPListener).File()
		if err != nil {
			e.Fatal(err)
		}
		held.Close() // the file is a copy
		e.Cleanup(func() { file.Close() })
		e.held = append(e.held, file)
	}
}

// A connection that is made while no edge runs is served by the next edge. A client that is refused would join again
// instead.
func TestEdgeServesInheritedListeners(t *testing.T) {
	e := newEdge(t, nil)
	e.inherit()
	e.start() // the first time the hub's own authority has certificates to make
	for range 3 {
		_ = e.cmd.Process.Signal(syscall.SIGKILL)
		_ = e.cmd.Wait()
		answered := make(chan string, 2)
		go func() { // waits in the socket's queue until an edge ends TLS
			conn, err := e.dialTLS("hub.test")
			if err == nil {
				conn.Close()
				answered <- "served"
				return
			}
			answered <- err.Error()
		}()
		e.start()
		if answer := <-answered; answer != "served" {
			t.Errorf("the client that waited got %s", answer)
		}
		e.mustServe()
	}
}

// Ports that a changed configuration no longer has are closed, and the edge opens new ones itself.
func TestEdgeLeavesInheritedListeners(t *testing.T) {
	e := newEdge(t, nil)
	e.inherit()
	e.start()
	for _, file := range e.held { // the supervisor closes its own
		file.Close()
	}
	before := e.port
	e.port = enginetest.FreePort(t)
	e.values["PORT"] = e.port
	e.configure(nil)
	if code, answer := e.reload(); code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, answer)
	}
	e.mustServe()
	enginetest.Eventually(t, "the old port is closed by the edge", func() bool {
		return !e.isListening(before)
	})
}

func (e *edgeTest) isListening(port string) bool {
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// An edge that inherits a socket which nothing uses must not let clients wait there.
func TestEdgeClosesWhatItHasNoUseFor(t *testing.T) {
	e := newEdge(t, nil)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := other.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(other.Addr().String())
	e.held = []*os.File{file}
	e.start()
	other.Close()
	file.Close()
	enginetest.Eventually(t, "it is closed", func() bool { return !e.isListening(port) })
}
