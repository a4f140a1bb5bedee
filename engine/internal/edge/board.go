package edge

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// patience is how long a connection waits for a server to accept it: at the first start the port is open before every
// server is.
const patience = 5 * time.Second

// board passes connections to the server that listens under a name. While a configuration replaces another, both
// listen, and the newer one gets the connections. None is lost, as connections that wait at a closed socket would be.
type board struct {
	network string

	mu     sync.Mutex
	open   map[string][]*seat
	opened chan struct{} // closed and replaced when a server begins to listen
}

func newBoard(network string) *board {
	return &board{network: network, open: map[string][]*seat{}, opened: make(chan struct{})}
}

// listen opens a seat until it is closed or ctx ends. If caddy-l4 fails to start, it doesn't close what it has opened
// (layer4/app.go), but its context ends. left is called once, when the seat is closed.
func (b *board) listen(ctx context.Context, name string, left func()) *seat {
	s := &seat{board: b, name: name, ctx: ctx, left: left, conns: make(chan net.Conn), done: make(chan struct{})}
	b.mu.Lock()
	b.open[name] = append(b.open[name], s)
	close(b.opened)
	b.opened = make(chan struct{})
	b.mu.Unlock()
	context.AfterFunc(ctx, func() { _ = s.Close() })
	return s
}

func (b *board) leave(s *seat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[s.name] = slices.DeleteFunc(b.open[s.name], func(other *seat) bool { return other == s })
}

// newest may return no seat; opened then tells when to ask again.
func (b *board) newest(name string) (s *seat, opened <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range slices.Backward(b.open[name]) {
		if s.ctx.Err() == nil {
			return s, b.opened
		}
	}
	return nil, b.opened
}

// hand returns when a server has accepted the connection.
func (b *board) hand(name string, conn net.Conn) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		s, opened := b.newest(name)
		if s == nil {
			s = &seat{} // its channels never receive
		}
		select {
		case s.conns <- conn:
			return nil
		case <-s.done: // a reload has just closed it; there may be a newer one
		case <-opened:
		case <-deadline.C:
			return fmt.Errorf("nothing accepts connections on %s/%s", b.network, name)
		}
	}
}

// seat is a net.Listener without a socket of its own.
type seat struct {
	board *board
	name  string
	ctx   context.Context // the context of its configuration
	left  func()
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (s *seat) Accept() (net.Conn, error) {
	select {
	case conn := <-s.conns:
		return conn, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

func (s *seat) Close() error {
	s.once.Do(func() {
		close(s.done)
		s.board.leave(s)
		s.left()
	})
	return nil
}

func (s *seat) Addr() net.Addr { return seatAddr{s.board.network, s.name} }

type seatAddr struct{ network, name string }

func (a seatAddr) Network() string { return a.network }
func (a seatAddr) String() string  { return a.name }
