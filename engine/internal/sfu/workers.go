package sfu

import (
	"bufio"
	"net"
	"net/http"
	"sync"

	"github.com/livekit/livekit-server/pkg/service"

	"lkhub/engine/internal/keyring"
)

// workers are the connections of agent workers. Upstream signs the tokens of a worker's jobs with the key with which the
// worker registered, for as long as it is connected (worker.go, BuildAgentToken).
type workers struct {
	ring *keyring.Ring
	mu   sync.Mutex
	key  map[net.Conn]string
}

func newWorkers(ring *keyring.Ring) *workers { return &workers{ring: ring, key: map[net.Conn]string{}} }

// watch knows the connections of a handler that upgrades them to WebSocket.
func (w *workers) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		hijacked := &hijackedWriter{ResponseWriter: rw, workers: w, key: service.GetAPIKey(r.Context())}
		defer hijacked.forget()
		next.ServeHTTP(hijacked, r)
	})
}

func (w *workers) add(conn net.Conn, key string) {
	w.mu.Lock()
	w.key[conn] = key
	w.mu.Unlock()
	w.closeGone() // the key may have gone since it was checked
}

func (w *workers) forget(conn net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.key, conn)
}

// closeGone ends the connections whose key the ring does not have any more.
func (w *workers) closeGone() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn, key := range w.key {
		if w.ring.GetSecret(key) == "" {
			conn.Close()
		}
	}
}

// closeAll ends all connections. Workers connect again at once, and go on with their jobs meanwhile.
func (w *workers) closeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.key {
		conn.Close()
	}
}

// hijackedWriter is used by one handler.
type hijackedWriter struct {
	http.ResponseWriter
	workers *workers
	key     string
	conn    net.Conn
}

func (h *hijackedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err == nil {
		h.conn = conn
		h.workers.add(conn, h.key)
	}
	return conn, buffered, err
}

func (h *hijackedWriter) forget() {
	if h.conn != nil {
		h.workers.forget(h.conn)
	}
}
