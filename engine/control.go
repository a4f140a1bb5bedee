package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

// reloader is an engine that can take a changed configuration while it runs.
type reloader interface {
	// Reload reads the configuration anew. After an error the one before is still in force.
	Reload() error
}

// resumer is an engine whose clients find another way to it when they are told to.
type resumer interface {
	// Resume tells those whose media comes from a relay's ports; how many they are.
	Resume(ctx context.Context, by relayPlace) (int, error)
}

// controlPoll is how often the control socket is looked at: a command waits no longer for one that was removed.
const controlPoll = time.Second

// keepControl answers on the control socket until over is closed, and binds it again when it was removed,
// perhaps with the whole state directory. Another process's socket in its place is left alone.
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
			continue // its directory is not there yet
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

// forget closes a listener whose socket is gone. By then there may be another one of that name.
func forget(listener net.Listener) {
	if unix, ok := listener.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
	listener.Close()
}

// serveControl answers GET /status, GET /ready, POST /drain and, for an engine that can, POST /reload, POST /resume and
// POST /participants until the listener is closed.
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
	if r, ok := p.engine.(resumer); ok {
		mux.HandleFunc("POST /resume", func(w http.ResponseWriter, request *http.Request) { handleResume(w, request, r) })
	}
	if k, ok := p.engine.(rosterKeeper); ok {
		mux.HandleFunc("POST /participants", func(w http.ResponseWriter, request *http.Request) { handleRoster(w, request, k) })
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	if err := server.Serve(listener); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// maxDrainSeconds is a year: more than any hub waits, and far from the end of a time.Duration.
const maxDrainSeconds = 365 * 24 * 3600

func (p *process) handleDrain(w http.ResponseWriter, request *http.Request) {
	var wanted struct {
		Seconds *int64 `json:"seconds"`
	}
	err := json.NewDecoder(request.Body).Decode(&wanted)
	if err != nil || wanted.Seconds == nil || *wanted.Seconds < 0 || *wanted.Seconds > maxDrainSeconds {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		report(w, badConfig("the limit of a drain: seconds from 0 to %d are needed", maxDrainSeconds))
		return
	}
	p.drain(time.Duration(*wanted.Seconds) * time.Second)
	p.handleStatus(w, request)
}

func (p *process) handleReload(w http.ResponseWriter, request *http.Request, r reloader) {
	if err := r.Reload(); err != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		report(w, err)
		return
	}
	p.handleStatus(w, request)
}

func handleResume(w http.ResponseWriter, request *http.Request, r resumer) {
	w.Header().Set("Content-Type", "application/json")
	var by relayPlace
	if err := json.NewDecoder(request.Body).Decode(&by); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		report(w, badConfig("the relay's place: %v", err))
		return
	}
	participants, err := r.Resume(request.Context(), by)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		report(w, err)
		return
	}
	writeJSON(w, map[string]int{"participants": participants})
}

func (p *process) handleStatus(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	status, err := p.engine.Status(r.Context())
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		report(w, err)
		return
	}
	status["state"], status["pid"] = p.getState(), os.Getpid()
	writeJSON(w, status)
}
