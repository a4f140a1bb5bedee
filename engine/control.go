package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"time"
)

// serveControl answers GET /status and GET /ready until the listener is closed.
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
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	if err := server.Serve(listener); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
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
