package load

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/utils/guid"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/participant"
)

const (
	// joinTimeout is for one participant, while all others load the machine.
	joinTimeout = 15 * time.Second
	// readyTimeout is for every subscriber to hear every track.
	readyTimeout = 30 * time.Second
	// leavesAtOnce keeps all participants of one machine from leaving at the same moment.
	leavesAtOnce = 8
	// tokenLife outlives the longest run.
	tokenLife = time.Hour
)

// member is one participant of a run.
type member struct {
	room        int
	participant *participant.Participant
	source      *source // of a publisher
	sink        *sink   // of a subscriber
}

// run is one load.
type run struct {
	config  Config
	route   participant.Route
	rooms   []string
	clock   *clock
	sending sync.WaitGroup

	mu      sync.Mutex
	members []*member
	joins   []time.Duration
}

// Run generates the load and reports. If ctx ends early, it reports what was measured until then.
func Run(ctx context.Context, config Config) (*Report, error) {
	r := &run{config: config, clock: newClock(), route: routeTo(ctx, config.URL)}
	for range config.Rooms {
		r.rooms = append(r.rooms, guid.New("load-"))
	}
	sendCtx, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer r.leave()
	defer stopSending()
	if err := r.enter(ctx, sendCtx); err != nil {
		return nil, err
	}
	if err := r.awaitTracks(ctx); err != nil {
		return nil, err
	}
	duration := config.measure(ctx, r.clock, "every participant receives all others")
	awaitStragglers(func() bool {
		report := r.report(duration)
		return report.PacketsReceived >= report.PacketsExpected
	})
	return r.report(duration), nil
}

// routeTo allows UDP straight to the server. If the route can't be determined, the server counts as another machine.
func routeTo(ctx context.Context, target string) participant.Route {
	route := participant.Route{Networks: []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6}}
	parsed, err := url.Parse(target)
	if err != nil {
		return route
	}
	addresses, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", parsed.Hostname())
	route.Loopback = slices.ContainsFunc(addresses, func(a netip.Addr) bool { return participant.SameMachine(a.Unmap()) })
	return route
}

// enter lets the publishers join, then the subscribers.
func (r *run) enter(ctx, sendCtx context.Context) error {
	publish := func(ctx context.Context, i int) error { return r.enterPublisher(ctx, sendCtx, i) }
	if err := someAtOnce(ctx, r.config.JoinsAtOnce, r.config.Publishers, publish); err != nil {
		return err
	}
	return someAtOnce(ctx, r.config.JoinsAtOnce, r.config.Subscribers, r.enterSubscriber)
}

// someAtOnce calls do for 0 to n-1, at most `some` at a time, and stops at the first error.
func someAtOnce(ctx context.Context, some, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var working sync.WaitGroup
	places := make(chan struct{}, some)
	for i := range n {
		places <- struct{}{}
		working.Go(func() {
			defer func() { <-places }()
			if ctx.Err() != nil {
				return
			}
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	working.Wait()
	return context.Cause(ctx)
}

func (r *run) enterPublisher(ctx, sendCtx context.Context, i int) error {
	source, err := newSource(r.clock, r.config.VideoKbps)
	if err != nil {
		return err
	}
	numbering, err := transportWide()
	if err != nil {
		return err
	}
	config := participant.Config{Route: r.route, Interceptors: numbering}
	m := &member{room: i % r.config.Rooms, source: source}
	if err := r.join(ctx, m, fmt.Sprintf("publisher-%d", i), config, source.publications()...); err != nil {
		return err
	}
	r.sending.Go(func() { source.sendAudio(sendCtx) })
	r.sending.Go(func() { source.sendVideo(sendCtx) })
	return nil
}

func (r *run) enterSubscriber(ctx context.Context, i int) error {
	sink := newSink(r.clock)
	config := participant.Config{Route: r.route, AutoSubscribe: true, Settings: sink.settings}
	return r.join(ctx, &member{room: i % r.config.Rooms, sink: sink}, fmt.Sprintf("subscriber-%d", i), config)
}

// join waits until a participant can send or receive, and records how long that took.
func (r *run) join(
	ctx context.Context, m *member, identity string, config participant.Config, tracks ...participant.Publication,
) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	publishes := len(tracks) > 0
	token, err := auth.NewAccessToken(r.config.Key, r.config.Secret).SetIdentity(identity).SetValidFor(tokenLife).
		SetVideoGrant(grant(r.rooms[m.room], publishes)).ToJWT()
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	config.URL, config.Token = r.config.URL, token
	config.TLS = r.config.tls()
	began := time.Now()
	if m.participant, err = participant.Join(ctx, config); err != nil {
		return fmt.Errorf("%s: join: %w", identity, err)
	}
	r.mu.Lock()
	r.members = append(r.members, m)
	r.mu.Unlock()
	if err := m.participant.Start(tracks...); err != nil {
		return fmt.Errorf("%s: %w", identity, err)
	}
	transport := m.participant.Subscriber
	if publishes {
		transport = m.participant.Publisher
	}
	select {
	case <-transport.Connected():
	case <-transport.Failed():
		return fmt.Errorf("%s: no UDP path to the server; see lkhub-engine probe", identity)
	case <-m.participant.Ended():
		return fmt.Errorf("%s: %w", identity, m.participant.Err())
	case <-ctx.Done():
		return fmt.Errorf("%s: not connected: %w", identity, ctx.Err())
	}
	r.mu.Lock()
	r.joins = append(r.joins, time.Since(began))
	r.mu.Unlock()
	return nil
}

// grant lets a publisher, or a subscriber, need only one PeerConnection.
func grant(room string, publishes bool) *auth.VideoGrant {
	subscribes := !publishes
	return &auth.VideoGrant{RoomJoin: true, Room: room, CanPublish: &publishes, CanSubscribe: &subscribes}
}

// awaitTracks waits until every subscriber hears every track of its room.
func (r *run) awaitTracks(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for _, m := range r.members {
		if m.sink == nil {
			continue
		}
		want := r.config.publishersIn(m.room) * r.config.tracks()
		for got, _ := m.sink.received(); got < want; got, _ = m.sink.received() {
			select {
			case <-m.sink.changed:
			case <-m.participant.Ended():
				return m.participant.Err()
			case <-ctx.Done():
				return fmt.Errorf("a subscriber of %s hears %d of its %d tracks: %w", r.rooms[m.room], got, want, ctx.Err())
			}
		}
	}
	return nil
}

// leave ends all participants, after sending has been stopped.
func (r *run) leave() {
	r.sending.Wait()
	_ = someAtOnce(context.Background(), leavesAtOnce, len(r.members), func(_ context.Context, i int) error {
		r.members[i].participant.Close()
		return nil
	})
}
