package process

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/message"
)

// reloader is an engine that can apply a changed configuration while it runs.
type reloader interface {
	// Reload reads the configuration again. After an error the previous one stays in force.
	Reload() error
}

// successor is an engine that can leave new clients to another process, which accepts from the same sockets.
type successor interface {
	// HandOver accepts no more clients from the sockets that the supervisor holds. Connected clients stay.
	HandOver()
}

// Controlled is an engine that answers additional requests.
type Controlled interface {
	// Controls are the additional POST requests, by path.
	Controls() map[string]Control
}

// Control answers one request. A failure with exit code 2 means that the request's body is wrong.
type Control func(ctx context.Context, body io.Reader) (answer any, err error)

// maxBody has room for the SIDs of more participants than there are ports.
const maxBody = 4 << 20

// controlPoll is how often the control socket is checked: if it was removed, a command waits no longer than this.
const controlPoll = time.Second

// keepControl answers on the control socket until over is closed. It binds the socket again if it was removed, perhaps
// with the whole state directory. It leaves another process's socket in its place alone.
func (p *process) keepControl(path string, listener net.Listener, over <-chan struct{}) {
	p.answerOn(listener)
	poll := time.NewTicker(controlPoll)
	defer poll.Stop()
	for {
		select {
		case <-over:
			listener.Close()
			return
		case <-poll.C:
		}
		if exists(path) {
			continue
		}
		again, err := listenControl(path)
		if err != nil {
			continue // the directory does not exist yet
		}
		forget(listener)
		listener = again
		p.answerOn(listener)
		log.Printf("the control socket %s was removed, and is there again", path)
	}
}

func (p *process) answerOn(listener net.Listener) {
	go func() {
		if err := p.serveControl(listener); err != nil {
			log.Printf("control socket: %v", err)
		}
	}()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// forget closes a listener whose socket is gone. By now another socket may have its name.
func forget(listener net.Listener) {
	if unix, ok := listener.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
	listener.Close()
}

// serveControl answers requests until the listener is closed: GET /status, GET /ready, POST /drain, POST /reload and
// GET /sockets if the engine can, and the engine's own.
func (p *process) serveControl(listener net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", p.handleStatus)
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-p.ready:
			p.handleStatus(w, r)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /drain", p.handleDrain)
	if r, ok := p.engine.(reloader); ok {
		mux.HandleFunc("POST /reload", func(w http.ResponseWriter, request *http.Request) { p.handleReload(w, request, r) })
	}
	if h, ok := p.engine.(holder); ok {
		mux.HandleFunc("GET /sockets", func(w http.ResponseWriter, _ *http.Request) { giveSockets(w, h.Held()) })
	}
	if c, ok := p.engine.(Controlled); ok {
		for path, control := range c.Controls() {
			mux.HandleFunc("POST "+path, func(w http.ResponseWriter, request *http.Request) { handleControl(w, request, control) })
		}
	}
	server := &http.Server{Handler: http.MaxBytesHandler(mux, maxBody), ReadHeaderTimeout: 5 * time.Second}
	if err := server.Serve(patient{listener}); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// acceptPause is how long to wait after Accept has failed.
const acceptPause = 50 * time.Millisecond

// patient is a listener whose Accept fails only when it is closed. A lack of memory passes; http.Server would close the
// control socket for good, and the supervisor could neither ask this process nor reload it any more.
type patient struct{ net.Listener }

func (l patient) Accept() (net.Conn, error) {
	failed := false
	for {
		conn, err := l.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		if !failed {
			log.Printf("control socket: %v; trying again", err)
		}
		failed = true
		time.Sleep(acceptPause)
	}
}

// maxDrainSeconds is a year: longer than any hub waits, and far below the limit of time.Duration.
const maxDrainSeconds = 365 * 24 * 3600

func (p *process) handleDrain(w http.ResponseWriter, request *http.Request) {
	var wanted struct {
		Seconds  *int64 `json:"seconds"`
		HandOver bool   `json:"hand_over"`
	}
	err := json.NewDecoder(request.Body).Decode(&wanted)
	if err != nil || wanted.Seconds == nil || *wanted.Seconds < 0 || *wanted.Seconds > maxDrainSeconds {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		failure.Report(w, failure.Config("the limit of a drain: seconds from 0 to %d are needed", maxDrainSeconds))
		return
	}
	if e, ok := p.engine.(successor); ok && wanted.HandOver {
		e.HandOver()
	}
	p.drain(time.Duration(*wanted.Seconds) * time.Second)
	p.handleStatus(w, request)
}

func (p *process) handleReload(w http.ResponseWriter, request *http.Request, r reloader) {
	if err := r.Reload(); err != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		failure.Report(w, err)
		return
	}
	p.handleStatus(w, request)
}

func handleControl(w http.ResponseWriter, request *http.Request, control Control) {
	w.Header().Set("Content-Type", "application/json")
	answer, err := control(request.Context(), request.Body)
	if err != nil {
		status := http.StatusServiceUnavailable
		if failure.Of(err).Exit == failure.ExitUsage {
			status = http.StatusBadRequest
		}
		w.WriteHeader(status)
		failure.Report(w, err)
		return
	}
	message.Write(w, answer)
}

func (p *process) handleStatus(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	status, err := p.engine.Status(r.Context())
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		failure.Report(w, err)
		return
	}
	status["state"], status["pid"] = p.getState(), os.Getpid()
	message.Write(w, status)
}
