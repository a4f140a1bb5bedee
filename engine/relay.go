package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"math"
	"net"
	"os"
	"sync/atomic"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"

	"lkhub/engine/internal/places"
	"lkhub/engine/internal/process"
	"lkhub/engine/internal/reads"
	"lkhub/engine/internal/seen"
	"lkhub/engine/internal/sends"
)

func runRelay(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runServer("relay", "relay.json", func(*flag.FlagSet) {}, args, stdin, stdout, stderr, func(text string) (process.Engine, error) {
		config, secret, err := readRelayConfig("relay.json", text, true)
		if err != nil {
			return nil, err
		}
		return newRelay(config, secret, nil, newRelayBounds(places.ForFiles(1, math.MaxUint16))), nil
	})
}

// relay is the hub's own TURN and STUN server: pion/turn, which LiveKit uses too, towards the SFU's media ports and
// nowhere else. Over UDP it is an engine; over TLS it is within the edge's (edge_relay.go).
type relay struct {
	config    relayConfig
	secret    string
	streams   net.Listener // of TURN over byte streams; nil: none
	addresses *relayAddresses
	bounds    *relayBounds
	log       *boundedLog
	draining  atomic.Bool
	limits    streamLimits
	door      *relayDoor    // to streams
	sends     sends.Counter // to clients over UDP
	server    atomic.Pointer[turn.Server]
	stop      context.CancelFunc
	stopped   context.Context
}

func newRelay(config relayConfig, secret string, streams net.Listener, bounds *relayBounds) *relay {
	stopped, stop := context.WithCancel(context.Background())
	return &relay{
		config:    config,
		secret:    secret,
		streams:   streams,
		addresses: newRelayAddresses(config, bounds),
		bounds:    bounds,
		log:       newBoundedLog(os.Stderr),
		limits:    usualLimits,
		stop:      stop,
		stopped:   stopped,
	}
}

func (r *relay) Run(ready func()) error {
	r.bounds.use(r.config)
	if err := r.open(); err != nil {
		return err
	}
	ready()
	go r.bounds.run(r.stopped)
	return r.serve()
}

// open accepts clients from now on.
func (r *relay) open() error {
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
func (r *relay) serve() error {
	<-r.stopped.Done()
	return r.server.Load().Close()
}

// listen binds every address, or none.
func (r *relay) listen(config *turn.ServerConfig) error {
	for _, address := range r.config.Listen {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
		if err != nil {
			return errors.Join(err, closeAll(*config))
		}
		config.PacketConnConfigs = append(config.PacketConnConfigs, turn.PacketConnConfig{
			PacketConn:            inFamilyOf(r.config.RelayAddress, reads.Conn{UDPConn: conn}, &r.sends),
			RelayAddressGenerator: r.addresses,
			PermissionHandler:     r.addresses.permit,
		})
	}
	if r.streams == nil {
		return nil
	}
	r.door = newRelayDoor(r.streams, r.config, r.limits)
	config.ListenerConfigs = []turn.ListenerConfig{{
		Listener:              r.door,
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

// retire accepts no more streams, and stops the relay when the last one has ended.
func (r *relay) retire() {
	_ = r.door.retire()
	go func() {
		<-r.door.gone
		r.Stop()
	}()
}

// admit says whether a participant may have one more allocation; a refusal tells the client that its quota is used up.
func (r *relay) admit(user, _ string, _ net.Addr) bool {
	return !r.draining.Load() && r.bounds.admit(parseHolder(user)) == nil
}

func (r *relay) allocated(client, _ net.Addr, _, _, _ string, relayed net.Addr, _ int) {
	r.addresses.clients.allocated(client, relayed)
	if r.door != nil {
		r.door.allocated(client)
	}
}

func (r *relay) deallocated(client, _ net.Addr, _, _, _ string) {
	if r.door != nil {
		r.door.released(client)
	}
}

func (r *relay) allocations() int {
	if server := r.server.Load(); server != nil {
		return server.AllocationCount()
	}
	return 0
}

func (r *relay) Busy() bool { return r.allocations() > 0 }

func (r *relay) Drain() { r.draining.Store(true) }

func (r *relay) Stop() { r.stop() }

// Status tells the allocations, how full the relay is, and who on other machines has used it.
func (r *relay) Status(context.Context) (map[string]any, error) {
	return map[string]any{
		"allocations": r.allocations(), "ports": r.bounds.status(), "seen": r.seen(), "sends": r.sends.Report(),
	}, nil
}

func (r *relay) seen() map[string]seen.Sighting { return r.addresses.clients.seen() }
