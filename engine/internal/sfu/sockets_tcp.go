package sfu

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/livekit/mediatransportutil/pkg/rtcconfig"
	"github.com/livekit/protocol/logger"
	"github.com/livekit/protocol/logger/pionlogger"
	"github.com/pion/ice/v4"

	"lkhub/engine/internal/connlimit"
)

const (
	// clientConnections is how many connections of each kind one client may hold, as at the edge. Behind an office's
	// router many people share one address. Each has a connection for each of two peer connections on each of its
	// interfaces, and may still have those from before a reconnect.
	clientConnections = 1000

	// maxConnections of each kind limits memory where there are plenty of descriptors.
	maxConnections = 32768

	// kindsOfConnections share the descriptors: ICE over TCP and signalling. Neither can take the other's.
	kindsOfConnections = 2

	// stunPatience is how long a connection may take to say which peer connection it is for. pion allows 30 s, and
	// another 30 s if there is no such peer connection. Clients say it at once, and they are told the port only after
	// their peer connection was made.
	stunPatience = 5 * time.Second

	// As in upstream's own mux (mediatransportutil's rtcconfig): packets, and bytes that wait for a slow client.
	tcpReadBuffer  = 50
	tcpWriteBuffer = 4 << 20
)

// boundTCP gives ICE over TCP a listener with bounds. A single address could fill upstream's listener, and its first
// error ends it for good: the accept loop of pion's mux returns (pion/ice, tcp_mux.go, start). boundTCP must be called
// before the server starts. It does nothing without ICE over TCP.
func boundTCP(conf *rtcconfig.WebRTCConfig, counter *connlimit.Counter) error {
	old := conf.TCPMuxListener
	if old == nil {
		return nil
	}
	// The new listener has the same socket, so that the port is never free. Closing the old listener ends the old mux.
	file, err := old.File()
	if err != nil {
		return fmt.Errorf("taking over the port of ICE over TCP: %w", err)
	}
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("taking over the port of ICE over TCP: %w", err)
	}
	_ = old.Close()
	conf.TCPMuxListener = listener.(*net.TCPListener) // upstream closes it when it stops
	conf.SettingEngine.SetICETCPMux(ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Logger:                       pionlogger.NewLoggerFactory(logger.GetLogger()).NewLogger("tcp_mux"),
		Listener:                     bound(listener, "ICE over TCP", counter, false),
		ReadBufferSize:               tcpReadBuffer,
		WriteBufferSize:              tcpWriteBuffer,
		FirstStunBindTimeout:         stunPatience,
		AliveDurationForConnFromStun: stunPatience,
	}))
	return nil
}

// bound limits a listener's connections: all together, and those of each client. Behind the edge all connections come
// from this machine, and the edge counts clients.
func bound(listener net.Listener, of string, counter *connlimit.Counter, behindEdge bool) net.Listener {
	return &connlimit.Listener{
		Listener: listener,
		Counter:  counter,
		Most: func(client netip.Addr) int {
			if behindEdge && client.IsLoopback() {
				return connlimit.Exempt
			}
			return clientConnections
		},
		Failed: func(err error) { logger.Errorw("could not accept a connection", err, "of", of) },
	}
}

func newPlaces() *connlimit.Counter {
	return connlimit.New(connlimit.ForFiles(kindsOfConnections, maxConnections))
}
