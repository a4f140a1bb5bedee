package edge

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// boundedNetwork is TCP for whoever faces the internet: `"listen": ["bounded/:443"]`.
//
// caddy-l4 gives up its listener for good at the first error of Accept that is no timeout (layer4/server.go, serve),
// and running out of descriptors is one. So connections are capped below that, and an error is waited out. And Caddy
// binds anew for every configuration, with SO_REUSEPORT, which loses who waits at the old socket and lets a second
// edge of the same user share the port unnoticed; here all configurations share one socket.
const boundedNetwork = "bounded"

const (
	// descriptorsPerConnection: the client's and the one towards media, the service or the relay.
	descriptorsPerConnection = 2
	// reservedDescriptors are for certificates, logs, control, and connections that are being refused.
	reservedDescriptors = 256
	// maxOpen bounds memory where descriptors are plenty: about 40 KiB for a connection that does HTTP.
	maxOpen = 32768
	// acceptPause is how long to wait after Accept failed; descriptors come back as connections end.
	acceptPause = 50 * time.Millisecond
)

func init() { caddy.RegisterNetwork(boundedNetwork, listenBounded) }

// open counts connections through all bounded listeners; refused those that a limit kept out or cut.
var open, refused atomic.Int64

// openLimit is read once: Go has raised the soft limit to the hard one by then.
var openLimit = sync.OnceValue(func() int64 {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return maxOpen
	}
	return boundFor(files.Cur)
})

// boundFor is how many connections so many descriptors carry.
func boundFor(files uint64) int64 {
	if files >= reservedDescriptors+descriptorsPerConnection*maxOpen {
		return maxOpen
	}
	return max(1, (int64(files)-reservedDescriptors)/descriptorsPerConnection)
}

// sockets are the ports that are open, with whoever gets what comes in through them.
var sockets = struct {
	sync.Mutex
	open  map[string]*socket
	seats *board
	err   error // why the last one could not be bound: Caddy keeps the text of such an error alone
}{open: map[string]*socket{}, seats: newBoard(boundedNetwork)}

func listenBounded(ctx context.Context, _, host, port string, offset uint, config net.ListenConfig) (any, error) {
	if offset != 0 {
		return nil, fmt.Errorf("%s/%s:%s: a range of ports", boundedNetwork, host, port)
	}
	address := net.JoinHostPort(host, port)
	sockets.Lock()
	defer sockets.Unlock()
	s := sockets.open[address]
	if s == nil {
		listener, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			sockets.err = err
			return nil, err
		}
		s = &socket{listener: listener, address: address, closed: make(chan struct{})}
		sockets.open[address] = s
		go s.serve()
	}
	s.users++
	return sockets.seats.listen(ctx, address, s.left), nil
}

// socket is one open port, under one configuration after another.
type socket struct {
	listener net.Listener
	address  string
	users    int // under the lock of sockets
	closed   chan struct{}
}

// left closes the socket when no configuration uses it any more.
func (s *socket) left() {
	sockets.Lock()
	defer sockets.Unlock()
	if s.users--; s.users == 0 {
		delete(sockets.open, s.address)
		close(s.closed)
		_ = s.listener.Close()
	}
}

// serve accepts until the socket is closed, whatever happens.
func (s *socket) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			select {
			case <-s.closed:
				return
			case <-time.After(acceptPause):
				caddy.Log().Error("accepting connections", zap.String("address", s.address), zap.Error(err))
				continue
			}
		}
		if open.Add(1) > openLimit() {
			open.Add(-1)
			refused.Add(1)
			_ = conn.Close()
			continue
		}
		counted := &boundedConn{Conn: conn}
		if err := sockets.seats.hand(s.address, counted); err != nil {
			_ = counted.Close()
		}
	}
}

// boundedConn is counted until it is closed.
type boundedConn struct {
	net.Conn
	closed atomic.Bool
}

func (c *boundedConn) Close() error {
	if !c.closed.Swap(true) {
		open.Add(-1)
	}
	return c.Conn.Close()
}
