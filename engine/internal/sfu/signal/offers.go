package signal

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// offerPatience is how long a client may take to offer when media has asked it to. Sixty clients that joined at once on
// two cores took 2.7 s at most, and a few of them more than 5 s where ten other programs wanted the cores too. Upstream
// waits 15 s for the answers of clients with two peer connections, and has them join anew (transport.go,
// negotiationFailedTimeout).
const offerPatience = 10 * time.Second

// resumeSession lets a client open its signalling connection again, and says whether that is possible now.
type resumeSession func(room livekit.RoomName, identity livekit.ParticipantIdentity) bool

// offerRouter starts signalling connections as upstream's router does, and watches clients with one peer connection.
// Only they can offer. When media has tracks for them it asks for an offer with so many sections
// (MediaSectionsRequirement). Two things are mended here.
//
// Media asks for each track as it comes, and with the answer to an offer again for all that the offer had no section for
// (transport.go, createAndSendAnswer). A client that takes a while to offer makes all of these sections: more than there
// are tracks, and each later description carries them. So it is asked for one offer at a time.
//
// A client that does not offer hears and sees nothing new from then on, while its session looks well. Now and then that
// happens where the client's machine is busy. livekit's Rust SDK 0.10, which is in livekit 1.2.1 for Python, can come to
// it: it leaves the next offer to a task that is just ending (rtc_session.rs, queue_negotiation and
// execute_negotiation_with_retry), and never offers again. A client that resumes always offers, and media flows on
// meanwhile.
type offerRouter struct {
	messageRouter
	patience time.Duration
	resume   resumeSession
	waits    *offerWaits
}

func newOfferRouter(router messageRouter, patience time.Duration, resume resumeSession) offerRouter {
	return offerRouter{router, patience, resume, &offerWaits{of: map[offerer]time.Duration{}}}
}

func (r offerRouter) StartParticipantSignal(ctx context.Context, room livekit.RoomName, init participantInit) (startedSignal, error) {
	started, err := r.messageRouter.StartParticipantSignal(ctx, room, init)
	if err != nil {
		return started, err
	}
	who := offerer{room, init.Identity}
	if !init.Reconnect {
		r.waits.forget(who)
	}
	wait := r.waits.next(who, r.patience)
	watch := &offerWatch{wait: wait, late: func() bool {
		if !r.resume(room, init.Identity) {
			return false
		}
		slog.Warn("client does not offer; it is to resume", "room", room, "participant", init.Identity, "after", wait.String())
		r.waits.double(who, wait)
		return true
	}}
	started.ResponseSource = watchedSource{filterSource(started.ResponseSource, watch.response), watch}
	started.RequestSink = watchedSink{started.RequestSink, watch}
	return started, nil
}

// offerer is a client, whatever its session.
type offerer struct {
	room     livekit.RoomName
	identity livekit.ParticipantIdentity
}

// offerWaits keeps the patience with clients that were not helped by resuming: it doubles each time, for there may be
// clients that never offer.
type offerWaits struct {
	mu sync.Mutex
	of map[offerer]time.Duration
}

func (w *offerWaits) next(who offerer, first time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.of[who], first)
}

// double makes the next wait for a client's offer twice as long, until the client has not had to resume for a while.
func (w *offerWaits) double(who offerer, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.of[who] = 2 * wait
	time.AfterFunc(10*wait, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.of[who] == 2*wait {
			delete(w.of, who)
		}
	})
}

func (w *offerWaits) forget(who offerer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.of, who)
}

// offerWatch waits for the offer that one signalling connection was asked for.
type offerWatch struct {
	wait time.Duration
	late func() bool // false: to be called again later

	mu    sync.Mutex
	timer *time.Timer // nil while nothing is waited for
	ended bool
}

// response looks at what goes to the client.
func (w *offerWatch) response(message proto.Message) []proto.Message {
	response, ok := message.(*livekit.SignalResponse)
	if ok && response.GetMediaSectionsRequirement() != nil && !w.ask() {
		return nil
	}
	return []proto.Message{message}
}

// ask says whether the client is to be told that media wants an offer, and waits for that offer from then on. While one is
// waited for the client is not asked again.
func (w *offerWatch) ask() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		return false
	}
	if !w.ended {
		w.timer = time.AfterFunc(w.wait, w.fire)
	}
	return true
}

func (w *offerWatch) fire() {
	again := !w.late()
	w.mu.Lock()
	defer w.mu.Unlock()
	if again && w.timer != nil {
		w.timer.Reset(w.wait)
	}
}

func (w *offerWatch) offered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// end is called with the connection's end, after which it is another watch's turn.
func (w *offerWatch) end() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.offered()
}

// watchedSource is what a client is told.
type watchedSource struct {
	messageSource
	watch *offerWatch
}

func (s watchedSource) Close() {
	s.watch.end()
	s.messageSource.Close()
}

// watchedSink is what a client says.
type watchedSink struct {
	messageSink
	watch *offerWatch
}

func (s watchedSink) WriteMessage(message proto.Message) error {
	if request, ok := message.(*livekit.SignalRequest); ok && request.GetOffer() != nil {
		s.watch.offered()
	}
	return s.messageSink.WriteMessage(message)
}
