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
	// clientConnections is what one client may hold of each kind, as at the edge: behind the router of an office many
	// people share one address, each with a connection for each of two peer connections on each of their interfaces,
	// and those of before a reconnect.
	clientConnections = 1000

	// maxConnections of each kind bounds memory where descriptors are plenty.
	maxConnections = 32768

	// kindsOfConnections share the descriptors: ICE over TCP and signalling. Neither can take the other's.
	kindsOfConnections = 2

	// stunPatience is how long a connection may take to say for which peer connection it is. pion gives it 30 s, and as
	// long again where there is none of that name. Clients say it at once, of one that was made before they were told
	// of the port.
	stunPatience = 5 * time.Second

	// As upstream's own mux (mediatransportutil's rtcconfig): packets, and bytes that wait for a slow client.
	tcpReadBuffer  = 50
	tcpWriteBuffer = 4 << 20
)

// boundTCP gives ICE over TCP a listener with bounds, in place of one that any address can fill alone, and whose first
// error ends it for good: the accept loop of pion's mux returns then (pion/ice, tcp_mux.go, start). To be called before the
// server starts. Without ICE over TCP there is nothing to do.
func boundTCP(conf *rtcconfig.WebRTCConfig, counter *connlimit.Counter) error {
	old := conf.TCPMuxListener
	if old == nil {
		return nil
	}
	// The same socket, so that the port is never anybody else's; closing the old listener ends the old mux.
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
	conf.TCPMuxListener = listener.(*net.TCPListener) // which upstream closes when it stops
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

// bound caps connections to a listener, all of them and those of each client. Behind the edge everybody comes from this
// machine, and is counted there.
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
