package signal

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// offerPatience is how long a client may take to make an offer that media has asked for. Sixty clients that joined at
// once on two cores took at most 2.7 s, and a few of them more than 5 s when ten other programs used the cores too.
// Upstream waits 15 s for the answers of clients with two peer connections, and then makes them join again
// (transport.go, negotiationFailedTimeout).
const offerPatience = 10 * time.Second

// resumeSession makes a client open its signalling connection again. It returns false if that is not possible now.
type resumeSession func(room livekit.RoomName, identity livekit.ParticipantIdentity) bool

// offerRouter starts signalling connections as upstream's router does, and watches clients with one peer connection.
// Only they can make offers. When media has tracks for them, it asks for an offer with a number of sections
// (MediaSectionsRequirement). offerRouter repairs two things.
//
// Media asks for each track as it comes. With the answer to an offer it asks again for all tracks for which the offer
// had no section (transport.go, createAndSendAnswer). A client that takes a while to make its offer adds all of these
// sections. So it has more sections than there are tracks, and every later description carries them. Therefore
// offerRouter asks for one offer at a time.
//
// A client that makes no offer gets no new tracks from then on, while its session looks well. This sometimes happens on
// a busy client machine. livekit's Rust SDK 0.10, which is in livekit 1.2.1 for Python, can get into this state: it
// leaves the next offer to a task that is just ending (rtc_session.rs, queue_negotiation and
// execute_negotiation_with_retry), and never makes an offer again. A client that resumes always makes an offer, and
// media goes on meanwhile.
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
	from := offerer{room, init.Identity}
	if !init.Reconnect {
		r.waits.forget(from)
	}
	wait := r.waits.next(from, r.patience)
	watch := &offerWatch{wait: wait, late: func() bool {
		if !r.resume(room, init.Identity) {
			return false
		}
		slog.Warn("client does not offer; it is to resume", "room", room, "participant", init.Identity, "after", wait.String())
		r.waits.double(from, wait)
		return true
	}}
	started.ResponseSource = watchedSource{filterSource(started.ResponseSource, watch.response), watch}
	started.RequestSink = watchedSink{started.RequestSink, watch}
	return started, nil
}

// offerer is a client, in any of its sessions.
type offerer struct {
	room     livekit.RoomName
	identity livekit.ParticipantIdentity
}

// offerWaits has the waits for clients for which a resume did not help. The wait doubles each time, as there may be
// clients that never make offers.
type offerWaits struct {
	mu sync.Mutex
	of map[offerer]time.Duration
}

func (w *offerWaits) next(from offerer, first time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.of[from], first)
}

// double makes the next wait for this client twice as long, until the client has not had to resume for a while.
func (w *offerWaits) double(from offerer, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.of[from] = 2 * wait
	time.AfterFunc(10*wait, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.of[from] == 2*wait {
			delete(w.of, from)
		}
	})
}

func (w *offerWaits) forget(from offerer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.of, from)
}

// offerWatch waits for the offer that one signalling connection was asked for.
type offerWatch struct {
	wait time.Duration
	late func() bool // false: call it again later

	mu    sync.Mutex
	timer *time.Timer // nil while it waits for no offer
	ended bool
}

// response looks at the messages to the client.
func (w *offerWatch) response(message proto.Message) []proto.Message {
	response, ok := message.(*livekit.SignalResponse)
	if ok && response.GetMediaSectionsRequirement() != nil && !w.ask() {
		return nil
	}
	return []proto.Message{message}
}

// ask says whether to tell the client that media wants an offer, and then waits for that offer. While it waits, the
// client is not asked again.
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

// end is called when the connection ends. After that another watch takes over.
func (w *offerWatch) end() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.offered()
}

// watchedSource has the messages to the client.
type watchedSource struct {
	messageSource
	watch *offerWatch
}

func (s watchedSource) Close() {
	s.watch.end()
	s.messageSource.Close()
}

// watchedSink takes the client's messages.
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
