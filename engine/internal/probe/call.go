package probe

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/participant"
)

const (
	// ICE gives up after 5 s: a path that works connects in less than one second, and a person waits for the answer.
	iceDisconnected = 3 * time.Second
	iceFailed       = 2 * time.Second
	// checksPerPair is enough for these seconds at pion's five checks a second; its default stops after 1.6 s.
	checksPerPair = 25
	// keepalive updates the round trip time while media flows: the time of the first check is that of a busy moment.
	keepalive = 100 * time.Millisecond
	// dtlsRetransmission is LiveKit's value: the first flight is often sent before the other side listens.
	dtlsRetransmission = 100 * time.Millisecond
	// unasked is long enough for an answer from an address that clients are told, even over a satellite. LiveKit's own
	// checks go on for 1.4 s.
	unasked = 800 * time.Millisecond
	// untold is as long as eight checks: on a line that loses a fifth in each direction, one answer in 3,000 comes
	// later.
	untold = 1600 * time.Millisecond
)

// call is one path's publisher and subscriber.
type call struct {
	route  route
	access access
	turn   *turnAccess // of routes that need a TURN server
	tokens []string
	media  time.Duration
	result *Result

	participants []*participant.Participant // the publisher first
	sound        *stream
	picture      *stream
	shows        bool // the picture is sent too
	sending      sync.WaitGroup
	stopSending  context.CancelFunc
	shortest     time.Duration // the publisher's shortest round trip; 0: none was measured
}

// run goes through all stages. It returns why it stopped, or nil if media was heard.
func (c *call) run(ctx context.Context, target *url.URL) *fault {
	dialed := time.Now()
	server, f := preflight(ctx, target, c.access, c.tokens)
	if f != nil {
		return f
	}
	if c.route.needsServer {
		c.turn = &turnAccess{ctx: ctx, access: c.access}
		defer func() { c.turn.judge(c.result) }()
	}
	if f := c.join(ctx, server); f != nil {
		return f
	}
	if f := c.connect(ctx); f != nil {
		return f
	}
	c.result.ConnectMS = milliseconds(time.Since(dialed))
	defer c.describePair()
	if len(c.participants) == 1 {
		return failed(StageDTLS, NeedsAnother,
			"the publisher's connection is up; proving media needs a second token, for a subscriber").asUntried(true)
	}
	return c.hear(ctx)
}

// preflight goes through the stages dns to token.
func preflight(ctx context.Context, target *url.URL, w access, tokens []string) (*server, *fault) {
	server, conn, f := reach(ctx, target, w)
	if f != nil {
		return nil, f
	}
	secured, f := server.secureConn(ctx, conn)
	if f != nil {
		_ = conn.Close()
		return nil, f
	}
	defer secured.Close()
	return server, server.validate(ctx, secured, tokens)
}

func (c *call) settings(engine *webrtc.SettingEngine) {
	if c.turn != nil {
		c.turn.settings(engine)
	}
	engine.SetICETimeouts(iceDisconnected, iceFailed, keepalive)
	engine.SetICEMaxBindingRequests(checksPerPair)
	engine.SetDTLSRetransmissionInterval(dtlsRetransmission)
}

// connect waits until the publisher can send and the subscriber can receive.
func (c *call) connect(ctx context.Context) *fault {
	for i, p := range c.participants {
		transport := p.Publisher
		if i > 0 {
			transport = p.Subscriber
		}
		if f := c.await(ctx, p, transport); f != nil {
			return f
		}
		if i == 0 {
			if f := explainOpened(transport); f != nil && !c.route.RelayOnly {
				c.describePair()
				return f
			}
			c.send(ctx)
		}
	}
	return nil
}

// await waits for a transport to connect, and stops when that is no longer possible.
func (c *call) await(ctx context.Context, p *participant.Participant, t *participant.Transport) *fault {
	described, offered, gathered := t.Described(), t.Offered(), t.Gathered()
	for {
		select {
		case <-t.Connected():
			return nil
		case <-t.Failed():
			return explainPaths(c.route, t, c.turn)
		case <-described:
			described = nil
		case <-offered:
			offered = nil
		case <-gathered:
			gathered = nil
		case <-p.Ended():
			if errors.Is(p.Err(), webrtc.ErrUnsupportedCodec) {
				return failed(StageJoin, NotAccepted, "the server takes no Opus from those who publish")
			}
			f := explainPaths(c.route, t, c.turn)
			return failed(f.stage, SessionEnded, "%s", redact(p.Err().Error(), c.tokens))
		case <-ctx.Done():
			return explainPaths(c.route, t, c.turn)
		}
		paths := t.Paths()
		nothingOffered := described == nil && offered == nil && len(paths.Remote) == 0
		nothingGathered := c.route.RelayOnly && gathered == nil && len(paths.Local) == 0
		if nothingOffered || nothingGathered {
			return explainPaths(c.route, t, c.turn)
		}
	}
}

// send starts sending; leave ends it.
func (c *call) send(ctx context.Context) {
	ctx, c.stopSending = context.WithCancel(ctx)
	c.sending.Go(func() { c.sound.sendSound(ctx) })
	if c.shows {
		c.sending.Go(func() { c.picture.sendPicture(ctx) })
	}
}

func (c *call) describePair() {
	pair, _ := c.participants[0].Publisher.Pair()
	if pair == nil {
		return
	}
	c.result.Local, c.result.Remote = end(pair.Local), end(pair.Remote)
	if c.noteRoundTrip(); c.shortest > 0 {
		c.result.RTTMS = milliseconds(c.shortest)
	}
}

func (c *call) leave() {
	if c.stopSending != nil {
		c.stopSending()
	}
	c.sending.Wait()
	var leaving sync.WaitGroup
	for _, p := range c.participants {
		leaving.Go(p.Close)
	}
	leaving.Wait()
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
