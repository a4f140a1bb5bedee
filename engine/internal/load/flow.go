package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v3"
	"github.com/pion/turn/v5"
)

// flow is one allocation at a TURN server, and counts what went out and came back through it.
type flow struct {
	clock   *clock
	client  *turn.Client
	conn    net.PacketConn
	relayed net.PacketConn
	stop    context.CancelFunc
	sending sync.WaitGroup

	heard chan struct{} // closed at the first packet that comes back
	sent  atomic.Uint64

	mu        sync.Mutex
	roundTrip histogram
}

// openFlow makes an allocation, and sends until the flow is closed.
func openFlow(ctx context.Context, clock *clock, config RelayConfig, peer net.Addr) (*flow, error) {
	uri, err := stun.ParseURI(config.Server)
	if err != nil {
		return nil, err
	}
	f := &flow{clock: clock, stop: func() {}, heard: make(chan struct{})}
	server := net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))
	if f.conn, err = dialTURN(ctx, *uri, server, config.tls()); err != nil {
		return nil, err
	}
	logs := logging.NewDefaultLoggerFactory()
	logs.Writer = io.Discard // what matters is returned as an error
	f.client, err = turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: server, Username: config.Username, Password: config.Password, Conn: f.conn, LoggerFactory: logs,
	})
	if err == nil {
		err = f.client.Listen()
	}
	if err == nil {
		f.relayed, err = f.client.Allocate()
	}
	if err != nil {
		f.close()
		return nil, err
	}
	sendCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop = stop
	f.sending.Go(func() { f.send(sendCtx, config, peer) })
	go f.receive()
	return f, nil
}

func dialTURN(ctx context.Context, uri stun.URI, server string, config *tls.Config) (net.PacketConn, error) {
	if overUDP(uri) {
		return net.ListenPacket("udp4", ":0")
	}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	return turn.NewSTUNConn(conn), nil
}

// send keeps to the rate. pion's client binds a channel to the peer at the first packet.
func (f *flow) send(ctx context.Context, config RelayConfig, peer net.Addr) {
	packet := make([]byte, config.Size)
	every(ctx, config.interval(), func(int) {
		sent := f.clock.stamp(packet)
		// The packet is counted before it is sent, since it may be back at once. A packet that can't be sent is counted
		// too, as lost.
		if f.clock.measured(sent) {
			f.sent.Add(1)
		}
		_, _ = f.relayed.WriteTo(packet, peer)
	})
}

func (f *flow) receive() {
	buffer := make([]byte, maxPacket)
	for heard := false; ; {
		n, _, err := f.relayed.ReadFrom(buffer)
		if err != nil {
			return
		}
		sent, ok := f.clock.sent(buffer[:n])
		if !ok {
			continue
		}
		if !heard {
			heard = true
			close(f.heard)
		}
		if f.clock.measured(sent) {
			f.mu.Lock()
			f.roundTrip.add(time.Duration(f.clock.now() - sent))
			f.mu.Unlock()
		}
	}
}

func (f *flow) awaitEcho(ctx context.Context) error {
	select {
	case <-f.heard:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("nothing came back from the peer through %s: %w", f.relayed.LocalAddr(), ctx.Err())
	}
}

// close may be called for a flow that was opened only in part, or not at all.
func (f *flow) close() {
	if f == nil {
		return
	}
	f.stop()
	f.sending.Wait()
	if f.relayed != nil {
		_ = f.relayed.Close() // tells the server
	}
	if f.client != nil {
		f.client.Close()
	}
	_ = f.conn.Close()
}
