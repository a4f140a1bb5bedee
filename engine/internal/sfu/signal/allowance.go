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
	// allowanceMost is about how many bytes media may keep at once because of one client's messages. allowanceRate is
	// how many more the client may ask for in a second. What media makes of an offer is not included: sections.go
	// limits that. A person in a room of 500 tracks uses about half of it to join and to resume.
	allowanceMost = 4 << 20
	allowanceRate = 64 << 10

	// trackCost is for each track that a client names for the first time. Upstream keeps what it knows of a track that
	// does not exist for a minute (subscriptionmanager.go, notFoundTimeout).
	trackCost = 1000

	// candidateCost is for each byte of a candidate, and candidateBase for each candidate. Candidates are kept as text
	// and parsed, even if the client never makes an offer (transport.go, pendingRemoteCandidates).
	candidateCost = 4
	candidateBase = 200

	// dataTrackCost is for each data track: with every new one, all participants of the room are told of all of them.
	dataTrackCost = 16 << 10

	// descriptionBase is for each description, in addition to its bytes, until media has processed it. Others wait
	// meanwhile (transport.go, eventsQueue).
	descriptionBase = 1000

	// simulationCost is for each scenario for client tests: one of them sleeps for as long as the client says (room.go,
	// onSimulateScenario).
	simulationCost = 64 << 10

	// allowanceLook is how often the allowance of a waiting client is checked.
	allowanceLook = time.Second
)

var errAllowance = errors.New("the client asks media to keep more than it may")

// allowanceRouter starts signalling connections as upstream's router does, and limits what clients make media keep.
// Upstream limits each message to 2 MiB, but not the number of messages. With one join link, candidates of a client
// that never makes an offer took 2 GB in 14 s, tracks that do not exist 3 GB in 6 s, and offers that come faster than
// they are answered 2 GB in 8 s. The compressed messages have a thousandth of that size. The messages of a client that
// asks for too much are read more slowly.
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

// allowances has the allowance of each client, for all its connections. A full one is dropped, since a new one is the
// same.
type allowances struct {
	clock func() time.Time

	mu sync.Mutex
	of map[offerer]*allowance
}

func (a *allowances) get(from offerer) *allowance {
	a.mu.Lock()
	defer a.mu.Unlock()
	for other, allowed := range a.of {
		if allowed.isWhole() {
			delete(a.of, other)
		}
	}
	allowed := a.of[from]
	if allowed == nil {
		allowed = newAllowance(a.clock)
		a.of[from] = allowed
	}
	return allowed
}

// allowance is how many bytes one client may still ask for. It grows with time.
type allowance struct {
	clock func() time.Time
	seed  maphash.Seed

	mu   sync.Mutex
	left float64
	at   time.Time

	named    recent.Set[uint64] // hashes of the tracks' names, which may be long
	sections *sections
}

func newAllowance(clock func() time.Time) *allowance {
	return &allowance{
		clock: clock, seed: maphash.MakeSeed(), left: allowanceMost, at: clock(),
		named: recent.New[uint64](allowanceMost/trackCost, recent.Forever), sections: newSections(),
	}
}

// grow needs a.mu.
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

// takeSections says whether the offer may be given to media.
func (a *allowance) takeSections(offer *livekit.SessionDescription) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sections.take(a.clock(), offer)
}

// take subtracts what is asked for and returns 0, or returns how long it takes until enough is there. After that, the
// same tracks cost nothing more. It returns errAllowance if more is asked for than an allowance ever has.
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

// giveBack adds what media no longer keeps.
func (a *allowance) giveBack(cost int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grow()
	a.left = min(allowanceMost, a.left+float64(cost))
}

// costOf needs a.mu.
func (a *allowance) costOf(asked demand) int {
	return asked.bytes + trackCost*a.named.CountFresh(a.hash(asked.tracks))
}

// remember needs a.mu.
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

// demand is about how much media keeps because of a message: bytes, and the tracks that were not named lately.
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

// allowedSink takes one client's messages.
type allowedSink struct {
	messageSink
	allowance       *allowance
	log             *slog.Logger
	told            bool
	offers, answers descriptions
}

// WriteMessage has one caller, which reads no other message of the client's until it returns.
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

// response looks at the messages to the client. Media has processed an offer when it answers it, and an answer when it
// makes its next offer.
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

// descriptions has the cost of each description of one connection that media has not processed yet, in order.
type descriptions struct {
	mu    sync.Mutex
	costs []int
}

func (d *descriptions) add(cost int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.costs = append(d.costs, cost)
}

// next removes the oldest cost. It returns 0 if there is none, as after a join that contained an offer.
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
