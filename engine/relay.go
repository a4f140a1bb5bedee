package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
)

func runRelay(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runServer("relay", "relay.json", func(*flag.FlagSet) {}, args, stdin, stdout, stderr, func(text string) (engine, error) {
		config, err := parseRelayConfig(text)
		if err != nil {
			return nil, err
		}
		secret, err := readSecret(config.SecretFile)
		if err != nil {
			return nil, unreadable(fmt.Errorf("relay.json: secret_file: %w", err))
		}
		return newRelay(config, secret), nil
	})
}

// relay is the hub's own TURN and STUN server as an engine: pion/turn, which LiveKit uses too, towards the SFU's
// media ports and nowhere else.
type relay struct {
	config    relayConfig
	secret    string
	addresses *relayAddresses
	draining  atomic.Bool
	server    atomic.Pointer[turn.Server]
	stop      context.CancelFunc
	stopped   context.Context
}

func newRelay(config relayConfig, secret string) *relay {
	stopped, stop := context.WithCancel(context.Background())
	return &relay{
		config:    config,
		secret:    secret,
		addresses: newRelayAddresses(config),
		stop:      stop,
		stopped:   stopped,
	}
}

func (r *relay) Run(ready func()) error {
	listeners, err := r.listen()
	if err != nil {
		return err
	}
	logs := logging.NewDefaultLoggerFactory()
	logs.Writer = os.Stderr
	server, err := turn.NewServer(turn.ServerConfig{
		Realm:             r.config.Realm,
		AuthHandler:       restAuth(r.secret, r.config.Realm),
		QuotaHandler:      r.admit,
		PacketConnConfigs: listeners,
		LoggerFactory:     logs,
	})
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	r.server.Store(server)
	ready()
	<-r.stopped.Done()
	return server.Close()
}

// listen binds every address, or none.
func (r *relay) listen() ([]turn.PacketConnConfig, error) {
	var listeners []turn.PacketConnConfig
	for _, address := range r.config.Listen {
		conn, err := net.ListenPacket("udp", address.String())
		if err != nil {
			return nil, errors.Join(err, closeAll(listeners))
		}
		listeners = append(listeners, turn.PacketConnConfig{
			PacketConn:            conn,
			RelayAddressGenerator: r.addresses,
			PermissionHandler:     r.addresses.permit,
		})
	}
	return listeners, nil
}

func closeAll(listeners []turn.PacketConnConfig) error {
	var failed error
	for _, listener := range listeners {
		failed = errors.Join(failed, listener.PacketConn.Close())
	}
	return failed
}

// admit says whether a participant may have one more allocation; a refusal tells the client that its quota is used up.
func (r *relay) admit(participant, _ string, _ net.Addr) bool {
	return !r.draining.Load() && !r.addresses.quota.full(participant)
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

func (r *relay) Status(context.Context) (map[string]any, error) {
	return map[string]any{"allocations": r.allocations()}, nil
}
