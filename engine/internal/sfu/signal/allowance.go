package signal

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/recent"
)

const (
	// allowanceMost is what a client may have media keep at once, in bytes of memory, about; and allowanceRate for how many
	// more a second it may ask. What media makes of an offer is not in it; sections.go
	// bounds that. A person in a room of 500 tracks takes about half of it to join and to resume.
	allowanceMost = 4 << 20
	allowanceRate = 64 << 10

	// trackCost is for each track that a client names for the first time. Upstream keeps what it knows of such a track for
	// a minute, if there is none (subscriptionmanager.go, notFoundTimeout).
	trackCost = 1000

	// candidateCost is for each byte of a candidate, and candidateBase besides: they are kept as text and parsed, also where
	// the client never offers (transport.go, pendingRemoteCandidates).
	candidateCost = 4
	candidateBase = 200

	// dataTrackCost is for each track of data: whoever is in the room is told of all of them whenever there is another.
	dataTrackCost = 16 << 10

	// descriptionBase is for each description, besides its bytes, until media has worked it off: those that come meanwhile
	// wait (transport.go, eventsQueue).
	descriptionBase = 1000

	// simulationCost is for each scenario for tests of clients: one may sleep for as long as the client says (room.go,
	// onSimulateScenario).
	simulationCost = 64 << 10

	// allowanceLook is how often a client that waits is looked after.
	allowanceLook = time.Second
)

var errAllowance = errors.New("the client asks media to keep more than it may")

// allowanceRouter starts signalling connections as upstream's router does, and bounds what clients have media keep. Upstream
// bounds each message, at 2 MiB, and not how many there are: with one join link, candidates of a client that never offers
// took 2 GB in 14 s, tracks that do not exist 3 GB in 6 s, and offers that come faster than they are answered 2 GB in 8 s.
// Messages come compressed, a thousandth of that. Whoever asks for too much is read more slowly.
type allowanceRouter struct {
	messageRouter
	allowances *allowances
}

func newAllowanceRouter(router messageRouter) allowanceRouter {
	return allowanceRouter{router, &allowances{clock: time.Now, of: map[offerer]*allowance{}}}
}

func (r allowanceRouter) StartParticipantSignal(ctx context.Context, room livekit.RoomName, init participantInit) (startedSignal, error) {
	allowed := r.allowances.get(offerer{room, init.Identity})
	if !allowed.takeSections(init.PublisherOffer) {
		return startedSignal{}, errSections
	}
	started, err := r.messageRouter.StartParticipantSignal(ctx, room, init)
	if err != nil {
		return started, err
	}
	sink := &allowedSink{
		messageSink: started.RequestSink,
		allowance:   allowed,
		log:         slog.With("room", room, "participant", init.Identity),
	}
	started.RequestSink, started.ResponseSource = sink, filterSource(started.ResponseSource, sink.response)
	return started, nil
}

// allowances are those of all clients, whatever their connection. A whole one is forgotten: a new one is as good.
type allowances struct {
	clock func() time.Time

	mu sync.Mutex
	of map[offerer]*allowance
}

func (a *allowances) get(who offerer) *allowance {
	a.mu.Lock()
	defer a.mu.Unlock()
	for other, allowed := range a.of {
		if allowed.isWhole() {
			delete(a.of, other)
		}
	}
	allowed := a.of[who]
	if allowed == nil {
		allowed = newAllowance(a.clock)
		a.of[who] = allowed
	}
	return allowed
}

// allowance is what one client may still ask for, in bytes. It grows with time.
type allowance struct {
	clock func() time.Time
	seed  maphash.Seed

	mu   sync.Mutex
	left float64
	at   time.Time

	named    recent.Set[uint64] // the hashes of the tracks' names, which may be long
	sections *sections
}

func newAllowance(clock func() time.Time) *allowance {
	return &allowance{
		clock: clock, seed: maphash.MakeSeed(), left: allowanceMost, at: clock(),
		named: recent.New[uint64](allowanceMost/trackCost, recent.Forever), sections: newSections(),
	}
}

// grow wants a.mu.
func (a *allowance) grow() {
	now := a.clock()
	a.left = min(allowanceMost, a.left+now.Sub(a.at).Seconds()*allowanceRate)
	a.at = now
}

func (a *allowance) isWhole() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grow()
	return a.left == allowanceMost && a.sections.isWhole(a.at)
}

// takeSections says whether media may be given the offer.
func (a *allowance) takeSections(offer *livekit.SessionDescription) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sections.take(a.clock(), offer)
}

// take takes what is asked for and returns 0, or says how long it is until there is as much. The tracks cost no more from
// then on. It returns errAllowance where it is more than there ever is.
func (a *allowance) take(asked demand) (time.Duration, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grow()
	cost := a.costOf(asked)
	if cost > allowanceMost {
		return 0, errAllowance
	}
	if missing := float64(cost) - a.left; missing > 0 {
		return max(time.Millisecond, time.Duration(missing/allowanceRate*float64(time.Second))), nil
	}
	a.left -= float64(cost)
	a.remember(asked.tracks)
	return 0, nil
}

// giveBack lets a client ask again for what media keeps no longer.
func (a *allowance) giveBack(cost int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grow()
	a.left = min(allowanceMost, a.left+float64(cost))
}

// costOf wants a.mu.
func (a *allowance) costOf(asked demand) int {
	return asked.bytes + trackCost*a.named.CountFresh(a.hash(asked.tracks))
}

// remember wants a.mu.
func (a *allowance) remember(tracks []string) {
	for _, track := range a.hash(tracks) {
		a.named.Add(track, a.at)
	}
}

func (a *allowance) hash(tracks []string) []uint64 {
	hashes := make([]uint64, len(tracks))
	for i, track := range tracks {
		hashes[i] = maphash.String(a.seed, track)
	}
	return hashes
}

// demand is about what media keeps of a message: bytes, and what it keeps of each track that was not named lately.
type demand struct {
	bytes  int
	tracks []string
}

func demandOf(request *livekit.SignalRequest) demand {
	size := proto.Size(request)
	switch message := request.GetMessage().(type) {
	case *livekit.SignalRequest_Offer, *livekit.SignalRequest_Answer:
		return demand{bytes: descriptionBase + size}
	case *livekit.SignalRequest_Trickle:
		return demand{bytes: candidateBase + candidateCost*size}
	case *livekit.SignalRequest_Subscription:
		return demand{size, tracksOf(message.Subscription)}
	case *livekit.SignalRequest_TrackSetting:
		return demand{size, message.TrackSetting.GetTrackSids()}
	case *livekit.SignalRequest_UpdateDataSubscription:
		var tracks []string
		for _, update := range message.UpdateDataSubscription.GetUpdates() {
			tracks = append(tracks, update.GetTrackSid())
		}
		return demand{size, tracks}
	case *livekit.SignalRequest_SyncState:
		state := message.SyncState
		tracks := slices.Concat(tracksOf(state.GetSubscription()), state.GetTrackSidsDisabled())
		return demand{size - proto.Size(state.GetOffer()) - proto.Size(state.GetAnswer()), tracks}
	case *livekit.SignalRequest_PublishDataTrackRequest:
		return demand{bytes: dataTrackCost + size}
	case *livekit.SignalRequest_Simulate:
		return demand{bytes: simulationCost}
	}
	return demand{bytes: size}
}

func tracksOf(subscription *livekit.UpdateSubscription) []string {
	tracks := slices.Clone(subscription.GetTrackSids())
	for _, each := range subscription.GetParticipantTracks() {
		tracks = append(tracks, each.GetTrackSids()...)
	}
	return tracks
}

// allowedSink is what one client says.
type allowedSink struct {
	messageSink
	allowance       *allowance
	log             *slog.Logger
	told            bool
	offers, answers descriptions
}

// WriteMessage has one caller, which reads nothing of the client's before it returns.
func (s *allowedSink) WriteMessage(message proto.Message) error {
	request, ok := message.(*livekit.SignalRequest)
	if !ok {
		return s.messageSink.WriteMessage(message)
	}
	if !s.allowance.takeSections(request.GetOffer()) {
		s.log.Warn("client offers more media sections than it may; its signalling connection ends")
		return errSections
	}
	asked := demandOf(request)
	wait, err := s.allowance.take(asked)
	for ; err == nil && wait > 0 && !s.IsClosed(); wait, err = s.allowance.take(asked) {
		if !s.told {
			s.told = true
			s.log.Warn("client asks media to keep more than it may; it is read more slowly")
		}
		time.Sleep(min(wait, allowanceLook))
	}
	if err != nil {
		s.log.Warn("client asks media to keep more than it may; its signalling connection ends")
		return err
	}
	switch request.GetMessage().(type) {
	case *livekit.SignalRequest_Offer:
		s.offers.add(asked.bytes)
	case *livekit.SignalRequest_Answer:
		s.answers.add(asked.bytes)
	}
	return s.messageSink.WriteMessage(message)
}

// response looks at what goes to the client: media has worked off an offer when it answers, and an answer when it offers
// again.
func (s *allowedSink) response(message proto.Message) []proto.Message {
	if response, ok := message.(*livekit.SignalResponse); ok {
		switch response.GetMessage().(type) {
		case *livekit.SignalResponse_Answer:
			s.allowance.giveBack(s.offers.next())
		case *livekit.SignalResponse_Offer:
			s.allowance.giveBack(s.answers.next())
		}
	}
	return []proto.Message{message}
}

// descriptions are what those cost that one connection has given and media has not worked off, in their order.
type descriptions struct {
	mu    sync.Mutex
	costs []int
}

func (d *descriptions) add(cost int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.costs = append(d.costs, cost)
}

// next takes out the oldest; 0 where there is none, as after a join that brought its offer.
func (d *descriptions) next() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.costs) == 0 {
		return 0
	}
	cost := d.costs[0]
	d.costs = d.costs[1:]
	return cost
}
