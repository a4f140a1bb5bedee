package signal

import (
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/enginetest"
)

// fakeSink takes a client's messages.
type fakeSink struct{ messageSink }

func (fakeSink) WriteMessage(proto.Message) error { return nil }

var (
	wanted = &livekit.SignalResponse{Message: &livekit.SignalResponse_MediaSectionsRequirement{
		MediaSectionsRequirement: &livekit.MediaSectionsRequirement{NumVideos: 1},
	}}
	offer = &livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{}}}
	trick = &livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{}}}
)

// offers is a router, and the clients that it makes resume.
type offers struct {
	offerRouter
	resumed chan livekit.ParticipantIdentity
	refused chan struct{} // receives whenever a client can't resume yet
}

func newOffers(patience time.Duration) offers {
	o := offers{resumed: make(chan livekit.ParticipantIdentity, 10), refused: make(chan struct{}, 10)}
	o.offerRouter = newOfferRouter(nil, patience, func(_ livekit.RoomName, identity livekit.ParticipantIdentity) bool {
		select {
		case <-o.refused:
			return false
		default:
			o.resumed <- identity
			return true
		}
	})
	return o
}

// connect opens a client's signalling connection, on which media asks for an offer at once.
func (o offers) connect(t *testing.T, identity livekit.ParticipantIdentity, reconnect bool) startedSignal {
	t.Helper()
	source := fakeSource{make(chan proto.Message, 1)}
	source.messages <- wanted
	o.messageRouter = fakeRouter{started: startedSignal{ResponseSource: source, RequestSink: fakeSink{}}}
	started, err := o.StartParticipantSignal(t.Context(), "den", participantInit{Identity: identity, Reconnect: reconnect})
	if err != nil {
		t.Fatal(err)
	}
	if got := nextMessage(t, started.ResponseSource); got != wanted {
		t.Fatalf("the client is told %v", got)
	}
	return started
}

func (o offers) expect(t *testing.T, want livekit.ParticipantIdentity) {
	t.Helper()
	select {
	case got := <-o.resumed:
		if got != want {
			t.Errorf("%s resumes, not %s", got, want)
		}
	case <-time.After(enginetest.Patience):
		t.Fatalf("%s does not resume", want)
	}
}

func TestAClientThatDoesNotOfferResumes(t *testing.T) {
	o := newOffers(time.Millisecond)
	o.connect(t, "silent", false)
	o.expect(t, "silent")
}

func TestAnOfferIsWaitedForUntilItComesOrTheConnectionEnds(t *testing.T) {
	o := newOffers(time.Hour)
	offering, gone, silent := o.connect(t, "offering", false), o.connect(t, "gone", false), o.connect(t, "silent", false)
	_ = offering.RequestSink.WriteMessage(offer)
	gone.ResponseSource.Close()
	gone.ResponseSource.(watchedSource).watch.response(wanted) // the message was already on its way
	_ = silent.RequestSink.WriteMessage(trick)
	for started, waits := range map[*startedSignal]bool{&offering: false, &gone: false, &silent: true} {
		watch := started.ResponseSource.(watchedSource).watch
		watch.mu.Lock()
		if got := watch.timer != nil; got != waits {
			t.Errorf("an offer is waited for: %v, not %v", got, waits)
		}
		watch.mu.Unlock()
	}
}

func TestAClientThatCannotResumeYetDoesLater(t *testing.T) {
	o := newOffers(time.Millisecond)
	o.refused <- struct{}{}
	o.refused <- struct{}{}
	o.connect(t, "early", false)
	o.expect(t, "early")
}

func TestPatienceDoublesWithAClientThatNeverOffers(t *testing.T) {
	o := newOffers(time.Hour)
	wait := func(reconnect bool) time.Duration {
		watch := o.connect(t, "never", reconnect).ResponseSource.(watchedSource).watch
		watch.late()
		return watch.wait
	}
	for _, expected := range []struct {
		reconnect bool
		wait      time.Duration
	}{{false, time.Hour}, {true, 2 * time.Hour}, {true, 4 * time.Hour}, {false, time.Hour}, {true, 2 * time.Hour}} {
		if got := wait(expected.reconnect); got != expected.wait {
			t.Errorf("the wait is %v, not %v", got, expected.wait)
		}
	}
}

func TestConnectionThatEndsWhileItsClientIsLateIsOver(t *testing.T) {
	watch := &offerWatch{wait: time.Hour}
	watch.late = func() bool {
		watch.end()
		return false
	}
	watch.ask()
	if watch.fire(); watch.timer != nil {
		t.Error("an offer is waited for")
	}
}

func TestLongerPatienceIsForgotten(t *testing.T) {
	waits, from := &offerWaits{of: map[offerer]time.Duration{}}, offerer{"den", "silent"}
	waits.double(from, time.Millisecond)
	for end := time.Now().Add(enginetest.Patience); waits.next(from, 0) != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is still kept")
		}
	}
}

func TestOneOfferIsAskedForAtATime(t *testing.T) {
	o := newOffers(time.Hour)
	source := fakeSource{make(chan proto.Message, 4)}
	o.messageRouter = fakeRouter{started: startedSignal{ResponseSource: source, RequestSink: fakeSink{}}}
	started, err := o.StartParticipantSignal(t.Context(), "den", participantInit{Identity: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	other := &livekit.SignalResponse{Message: &livekit.SignalResponse_Pong{Pong: 1}}
	for _, message := range []proto.Message{wanted, wanted, wanted, other} {
		source.messages <- message
	}
	for _, want := range []proto.Message{wanted, other} {
		if got := nextMessage(t, started.ResponseSource); got != want {
			t.Fatalf("the client is told %v, not %v", got, want)
		}
	}
	_ = started.RequestSink.WriteMessage(offer)
	source.messages <- wanted
	if got := nextMessage(t, started.ResponseSource); got != wanted {
		t.Errorf("after its offer the client is told %v", got)
	}
}
