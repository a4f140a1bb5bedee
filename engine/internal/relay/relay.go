// Package relay is the hub's TURN and STUN server. It uses pion/turn, as LiveKit does, and relays to the SFU's media
// ports only. It decides which participant may have which relay ports.
package relay

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"

	"lkhub/engine/internal/seen"
	"lkhub/engine/internal/sendcount"
	"lkhub/engine/internal/udpread"
)

// Server is the hub's TURN and STUN server. Over UDP it is an engine of its own; over TLS it is part of the edge's
// process (streams.go).
type Server struct {
	config    Config
	secret    string
	streams   net.Listener // accepts TURN over byte streams; nil: none
	addresses *addresses
	bounds    *Bounds
	log       *boundedLog
	draining  atomic.Bool
	limits    streamLimits
	listener  *streamListener   // for streams
	sends     sendcount.Counter // to clients over UDP
	server    atomic.Pointer[turn.Server]
	stop      context.CancelFunc
	stopped   context.Context
}

// New makes a relay for clients over UDP or over streams without TLS; streams is nil if there are none.
func New(config Config, secret string, streams net.Listener, bounds *Bounds) *Server {
	stopped, stop := context.WithCancel(context.Background())
	return &Server{
		config:    config,
		secret:    secret,
		streams:   streams,
		addresses: newAddresses(config, bounds),
		bounds:    bounds,
		log:       newBoundedLog(os.Stderr),
		limits:    usualLimits,
		stop:      stop,
		stopped:   stopped,
	}
}

func (r *Server) Run(ready func()) error {
	r.bounds.Use(r.config)
	if err := r.open(); err != nil {
		return err
	}
	ready()
	go r.bounds.run(r.stopped)
	return r.serve()
}

// open starts to accept clients.
func (r *Server) open() error {
	logs := logging.NewDefaultLoggerFactory()
	logs.Writer = r.log
	config := turn.ServerConfig{
		Realm:         r.config.Realm,
		AuthHandler:   restAuth(r.secret, r.config.Realm, r.bounds.outlives),
		QuotaHandler:  r.admit,
		LoggerFactory: logs,
		EventHandler:  turn.EventHandler{OnAllocationCreated: r.allocated, OnAllocationDeleted: r.deallocated},
	}
	if err := r.listen(&config); err != nil {
		return err
	}
	server, err := turn.NewServer(config)
	if err != nil {
		return errors.Join(err, closeAll(config))
	}
	r.server.Store(server)
	return nil
}

// serve returns when the relay has been stopped and its clients' connections have ended.
func (r *Server) serve() error {
	<-r.stopped.Done()
	return r.server.Load().Close()
}

// listen binds all addresses or none.
func (r *Server) listen(config *turn.ServerConfig) error {
	for _, address := range r.config.Listen {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
		if err != nil {
			return errors.Join(err, closeAll(*config))
		}
		config.PacketConnConfigs = append(config.PacketConnConfigs, turn.PacketConnConfig{
			PacketConn:            inFamilyOf(r.config.RelayAddress, udpread.Conn{UDPConn: conn}, &r.sends),
			RelayAddressGenerator: r.addresses,
			PermissionHandler:     r.addresses.permit,
		})
	}
	if r.streams == nil {
		return nil
	}
	r.listener = newStreamListener(r.streams, r.config, r.limits)
	config.ListenerConfigs = []turn.ListenerConfig{{
		Listener:              r.listener,
		RelayAddressGenerator: r.addresses,
		PermissionHandler:     r.addresses.permit,
	}}
	return nil
}

func closeAll(config turn.ServerConfig) error {
	var failed error
	for _, listener := range config.PacketConnConfigs {
		failed = errors.Join(failed, listener.PacketConn.Close())
	}
	for _, listener := range config.ListenerConfigs {
		failed = errors.Join(failed, listener.Listener.Close())
	}
	return failed
}

// retire accepts no more streams. The relay stops when the last stream has ended.
func (r *Server) retire() {
	_ = r.listener.retire()
	go func() {
		<-r.listener.gone
		r.Stop()
	}()
}

// admit says whether a participant may have one more allocation. A refusal tells the client that its quota is used up.
func (r *Server) admit(user, _ string, _ net.Addr) bool {
	return !r.draining.Load() && r.bounds.admit(parseHolder(user)) == nil
}

func (r *Server) allocated(client, _ net.Addr, _, _, _ string, relayed net.Addr, _ int) {
	r.addresses.clients.allocated(client, relayed)
	if r.listener != nil {
		r.listener.allocated(client)
	}
}

func (r *Server) deallocated(client, _ net.Addr, _, _, _ string) {
	if r.listener != nil {
		r.listener.released(client)
	}
}

// Allocations is the number of allocations.
func (r *Server) Allocations() int {
	if server := r.server.Load(); server != nil {
		return server.AllocationCount()
	}
	return 0
}

func (r *Server) Busy() bool { return r.Allocations() > 0 }

func (r *Server) Drain() { r.draining.Store(true) }

func (r *Server) Stop() { r.stop() }

// Status tells the allocations, how full the relay is, and which clients on other machines have used it.
func (r *Server) Status(context.Context) (map[string]any, error) {
	return map[string]any{
		"allocations": r.Allocations(), "ports": r.bounds.status(), "seen": r.seen(), "sends": r.sends.Report(),
	}, nil
}

func (r *Server) seen() map[string]seen.Sighting { return r.addresses.clients.seen() }
