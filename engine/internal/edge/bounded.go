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
	// maxOpen bounds memory where descriptors are plenty: about 40 KiB for a connection that does HTTP.
	maxOpen = 32768
)

func init() { caddy.RegisterNetwork(boundedNetwork, listenBounded) }

// maxPlaces is what the limit of descriptors carries.
var maxPlaces = sync.OnceValue(func() int { return connlimit.ForFiles(descriptorsPerConnection, maxOpen) })

// connected counts connections through all bounded listeners, by the address at the other end of the socket.
var connected = sync.OnceValue(func() *connlimit.Counter { return connlimit.New(maxPlaces()) })

// proxies are those in front: each speaks for many clients.
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

// sockets are the ports that are open, with whoever gets what comes in through them.
var sockets = struct {
	sync.Mutex
	open      map[string]*socket
	inherited []net.Listener // of the supervisor, not used yet
	seats     *board
	err       error // why the last one could not be bound: Caddy keeps the text of such an error alone
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

// Inherit has listeners used that the supervisor keeps open while this process restarts: a client that connects meanwhile
// waits instead of being refused. To be called before Load.
func Inherit(listeners []net.Listener) {
	sockets.Lock()
	defer sockets.Unlock()
	sockets.inherited = listeners
}

// takeInherited wants the lock of sockets. nil: there is none on that address.
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

// dropInherited closes what no configuration has a use for: a client that connects there would wait for ever.
func dropInherited() {
	sockets.Lock()
	defer sockets.Unlock()
	for _, listener := range sockets.inherited {
		_ = listener.Close()
	}
	sockets.inherited = nil
}

// socket is one open port, under one configuration after another.
type socket struct {
	listener net.Listener
	address  string
	users    int // under the lock of sockets
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

// admitClients lets clients in that have connected since the ports were opened. To be called when the first configuration runs and
// has its certificates: Caddy starts its apps in no order, and the ports may be open before what is behind them. A client
// that waits at an inherited socket would be told that there is no certificate.
func admitClients() { admit.Do(func() { close(admitted) }) }

// serve accepts until the socket is closed, whatever happens.
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
