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
	// ICE gives up 5 s after it began: a path that works connects in less than one, and a person waits for the answer.
	iceDisconnected = 3 * time.Second
	iceFailed       = 2 * time.Second
	// checksPerPair fills these seconds, at pion's five a second; its default stops after 1.6 s.
	checksPerPair = 25
	// keepalive refreshes the round trip time while media flows: the first check's is that of a busy moment.
	keepalive = 100 * time.Millisecond
	// dtlsRetransmission is LiveKit's own: the first flight is often sent before the other side listens.
	dtlsRetransmission = 100 * time.Millisecond
	// unasked is enough for an answer from where clients are told to be sent, over a satellite too. LiveKit's own checks
	// go on for 1.4 s.
	unasked = 800 * time.Millisecond
	// untold is eight checks: on a line that loses a fifth each way, one answer in 3,000 times comes later.
	untold = 1600 * time.Millisecond
)

// call is one path's publisher and subscriber.
type call struct {
	route  route
	way    way
	turn   *turnWay // of routes that need a TURN server
	tokens []string
	media  time.Duration
	result *Result

	participants []*participant.Participant // publisher first
	sound        *stream
	picture      *stream
	shows        bool // the picture too
	sending      sync.WaitGroup
	stopSending  context.CancelFunc
	shortest     time.Duration // of the publisher's round trips; 0: none was measured
}

// run takes all stages and returns why it stopped, or nil when media was heard.
func (c *call) run(ctx context.Context, target *url.URL) *fault {
	dialed := time.Now()
	server, f := preflight(ctx, target, c.way, c.tokens)
	if f != nil {
		return f
	}
	if c.route.needsServer {
		c.turn = &turnWay{ctx: ctx, way: c.way}
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

// preflight takes the stages dns to token.
func preflight(ctx context.Context, target *url.URL, w way, tokens []string) (*server, *fault) {
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

// await waits for a transport, and no longer than there is hope.
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

// send begins to send; leave ends it.
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
