package edge

import (
	"container/list"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/mholt/caddy-l4/layer4"
)

func init() { caddy.RegisterModule(new(Deadline)) }

// maxWaiting bounds what clients that don't finish their handshake can cost, about 30 KiB each (measured);
// a few thousand at a time are more than any hub's own clients, also when all of them come back after an outage.
const maxWaiting = 4096

// Deadline is the handler `layer4.handlers.lkhub_deadline`: everything after it has to be done with the client by
// then, or the connection ends; a later one with `after: 0s` lifts it. caddy-l4's tls handler needs it, which runs
// the handshake without any limit (modules/l4tls/handler.go). Both have to stand in one route: layer4/routes.go
// clears deadlines before a route's first handler.
//
// Of more than maxWaiting clients under a deadline the one that has waited longest is cut, so that a good client,
// who is done in a moment, gets through a flood of others.
type Deadline struct {
	After caddy.Duration `json:"after"`
}

// CaddyModule tells Caddy the module's name.
func (*Deadline) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "layer4.handlers.lkhub_deadline", New: func() caddy.Module { return new(Deadline) }}
}

// liftVar is where a connection keeps the way to lift its deadline.
const liftVar = "lkhub_deadline_lift"

// Handle sets or lifts the deadline and goes on.
func (d *Deadline) Handle(cx *layer4.Connection, next layer4.Handler) error {
	if lift, ok := cx.GetVar(liftVar).(func() error); ok {
		cx.SetVar(liftVar, nil)
		if err := lift(); err != nil {
			return err
		}
	}
	if d.After <= 0 {
		return next.Handle(cx)
	}
	if err := cx.SetDeadline(time.Now().Add(time.Duration(d.After))); err != nil {
		return err
	}
	// The connection below TLS, in both directions: a client that doesn't read blocks a handshake as well.
	conn := cx.Conn
	leave := waiting.enter(conn)
	defer leave()
	cx.SetVar(liftVar, func() error {
		leave()
		return conn.SetDeadline(time.Time{})
	})
	return next.Handle(cx)
}

// cut counts those that a queue closed.
var cut atomic.Int64

// waiting is whoever is under a deadline, under any configuration.
var waiting = &queue{limit: maxWaiting}

// queue holds connections in the order in which they came, and closes the first one when there are too many.
type queue struct {
	limit int

	mu    sync.Mutex
	conns list.List
}

// enter adds a connection; leave may be called more than once.
func (q *queue) enter(conn net.Conn) (leave func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conns.Len() >= q.limit {
		cut.Add(1)
		_ = q.conns.Remove(q.conns.Front()).(net.Conn).Close()
	}
	element := q.conns.PushBack(conn)
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.conns.Remove(element) // nothing, if it is not in the list any more
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.conns.Len()
}

var _ layer4.NextHandler = (*Deadline)(nil)
