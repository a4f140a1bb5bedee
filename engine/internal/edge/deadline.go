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

// maxWaiting limits the cost of clients that don't finish their handshake: about 30 KiB each (measured). A few thousand
// at a time are more than the clients of any hub, even when all of them come back after an outage.
const maxWaiting = 4096

// Deadline is the handler `layer4.handlers.lkhub_deadline`. Unless all handlers after it are done with the client by
// the deadline, the connection ends. A later Deadline with `after: 0s` lifts it. caddy-l4's tls handler needs this,
// since it runs the handshake without any limit (modules/l4tls/handler.go). Both Deadlines must be in one route:
// layer4/routes.go clears deadlines before a route's first handler.
//
// When there are more than maxWaiting clients under a deadline, the one that has waited longest is cut off. So a good
// client, whose handshake takes a moment, gets through a flood of others.
type Deadline struct {
	After caddy.Duration `json:"after"`
}

// CaddyModule tells Caddy the module's name.
func (*Deadline) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "layer4.handlers.lkhub_deadline", New: func() caddy.Module { return new(Deadline) }}
}

// liftVar is the variable in which a connection keeps the function that lifts its deadline.
const liftVar = "lkhub_deadline_lift"

// Handle sets or lifts the deadline and passes the connection on.
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
	// The deadline is for the connection below TLS, in both directions: a client that doesn't read also blocks a
	// handshake.
	conn := cx.Conn
	leave := waiting.enter(conn)
	defer leave()
	cx.SetVar(liftVar, func() error {
		leave()
		return conn.SetDeadline(time.Time{})
	})
	return next.Handle(cx)
}

// cut counts the connections that a queue closed.
var cut atomic.Int64

// waiting has all connections under a deadline, under any configuration.
var waiting = &queue{limit: maxWaiting}

// queue holds connections in the order of their arrival, and closes the first when there are too many.
type queue struct {
	limit int

	mu    sync.Mutex
	conns list.List
}

// enter adds a connection. leave may be called more than once.
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
		q.conns.Remove(element) // does nothing if it is no longer in the list
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.conns.Len()
}

var _ layer4.NextHandler = (*Deadline)(nil)
