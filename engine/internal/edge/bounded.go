package edge

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"lkhub/engine/internal/connlimit"
)

// boundedNetwork is TCP for listeners that face the internet: `"listen": ["bounded/:443"]`.
//
// caddy-l4 gives up its listener for good at the first error of Accept that is not a timeout (layer4/server.go, serve).
// A lack of descriptors is such an error. So connections are limited to less than that, and Accept is retried after an
// error. Caddy also binds again for every configuration, with SO_REUSEPORT. That loses connections that wait at the old
// socket, and lets a second edge of the same user share the port unnoticed. Here all configurations share one socket.
const boundedNetwork = "bounded"

const (
	// descriptorsPerConnection: one for the client's connection, and one for the connection to media, the service or
	// the relay.
	descriptorsPerConnection = 2
	// maxOpen limits memory where there are plenty of descriptors: an HTTP connection takes about 40 KiB.
	maxOpen = 32768
)

func init() { caddy.RegisterNetwork(boundedNetwork, listenBounded) }

// maxPlaces is how many connections the limit of descriptors allows.
var maxPlaces = sync.OnceValue(func() int { return connlimit.ForFiles(descriptorsPerConnection, maxOpen) })

// connected counts connections through all bounded listeners, by the address at the other end of the socket.
var connected = sync.OnceValue(func() *connlimit.Counter { return connlimit.New(maxPlaces()) })

// proxies are the trusted proxies before the hub. Each stands for many clients.
var proxies atomic.Pointer[[]netip.Prefix]

func mostOf(peer netip.Addr) int {
	if trusted := proxies.Load(); trusted != nil {
		for _, network := range *trusted {
			if network.Contains(peer) {
				return connlimit.Exempt
			}
		}
	}
	return maxPlaces()
}

// sockets are the open ports, with the listeners that get their connections.
var sockets = struct {
	sync.Mutex
	open      map[string]*socket
	inherited []net.Listener // from the supervisor, not used yet
	seats     *board
	err       error // why the last socket could not be bound; Caddy keeps only the text of such an error
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
		listener := takeInherited(host, port)
		if listener == nil {
			var err error
			if listener, err = config.Listen(ctx, "tcp", address); err != nil {
				sockets.err = err
				return nil, err
			}
		}
		s = &socket{address: address, listener: &connlimit.Listener{
			Listener: listener, Counter: connected(), Most: mostOf,
			Failed: func(err error) {
				caddy.Log().Error("accepting connections", zap.String("address", address), zap.Error(err))
			},
		}}
		sockets.open[address] = s
		go s.serve()
	}
	s.users++
	return sockets.seats.listen(ctx, address, s.left), nil
}

// Inherit uses listeners that the supervisor keeps open while this process restarts: a client that connects meanwhile
// waits instead of being refused. It must be called before Load.
func Inherit(listeners []net.Listener) {
	sockets.Lock()
	defer sockets.Unlock()
	sockets.inherited = listeners
}

// takeInherited needs the lock of sockets. It returns nil if no inherited listener has that address.
func takeInherited(host, port string) net.Listener {
	for i, listener := range sockets.inherited {
		at, ok := listener.Addr().(*net.TCPAddr)
		if !ok || strconv.Itoa(at.Port) != port {
			continue
		}
		asked, err := netip.ParseAddr(host)
		if all := host == "" && at.IP.IsUnspecified(); all || err == nil && asked.Unmap() == at.AddrPort().Addr().Unmap() {
			sockets.inherited = slices.Delete(sockets.inherited, i, i+1)
			return listener
		}
	}
	return nil
}

// dropInherited closes listeners that no configuration uses: a client that connects to one would wait for ever.
func dropInherited() {
	sockets.Lock()
	defer sockets.Unlock()
	for _, listener := range sockets.inherited {
		_ = listener.Close()
	}
	sockets.inherited = nil
}

// socket is one open port, which successive configurations use.
type socket struct {
	listener net.Listener
	address  string
	users    int // guarded by the lock of sockets
}

// left closes the socket when no configuration uses it any more.
func (s *socket) left() {
	sockets.Lock()
	defer sockets.Unlock()
	if s.users--; s.users == 0 {
		delete(sockets.open, s.address)
		_ = s.listener.Close()
	}
}

// admitted is closed when connections can be served.
var admitted = make(chan struct{})

var admit sync.Once

// admitClients starts to accept clients that have connected since the ports were opened. It must be called when the
// first configuration runs and has its certificates: Caddy starts its apps in no particular order, and a port may be
// open before the servers behind it. A client that waits at an inherited socket would be told that there is no
// certificate.
func admitClients() { admit.Do(func() { close(admitted) }) }

// serve accepts connections until the socket is closed, through all errors.
func (s *socket) serve() {
	<-admitted
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		if err := sockets.seats.hand(s.address, conn); err != nil {
			_ = conn.Close()
		}
	}
}
