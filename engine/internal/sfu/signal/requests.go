package signal

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	"github.com/livekit/psrpc"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/private"
)

const (
	// requestsAhead is how many messages of one signalling connection upstream gets before the session has read them.
	// It has room for 200 (routing/messagechannel.go, DefaultMessageChannelSize).
	requestsAhead = 150
	// requestsWaiting is how many more bytes of one signalling connection may wait. If there are more, the connection
	// ends. 230 candidates take about 150,000.
	requestsWaiting = 8 << 20
	// requestSize is about what a message takes in addition to its bytes.
	requestSize = 500
	// requestsLook is how often a stream with waiting messages checks whether the session has read earlier ones.
	requestsLook = 5 * time.Millisecond
)

var errRequestsWait = errors.New("the client sends more than media reads")

// HoldRequests keeps the messages of a client while media is busy. Upstream stops at the first message for which it has
// no room: it reads no more from that signalling connection, and leaves the connection open (routing/signal.go,
// CopySignalStreamToMessageChannel). The client stays in the room, and all its messages are lost: its next offer, so
// that it gets no new track, its tracks, and its leaving. A client that tries relays and gathers for each of seven
// media sections sends 230 candidates at once.
//
// HoldRequests must be called before the server starts. If one of the fields is renamed,
// TestMediaReadsMoreMessagesThanItHasRoomFor fails.
func HoldRequests(server *service.LivekitServer) {
	signal := *private.Field[*service.SignalServer](server, "signalServer")
	relay := private.Field[rpc.SignalServerImpl](*private.Field[rpc.TypedSignalServer](signal, "server"), "svc")
	handler := private.Field[service.SessionHandler](*relay, "sessionHandler")
	*relay, *handler = holdingRelay{*relay}, holdingHandler{*handler}
}

type (
	signalRequest = rpc.RelaySignalRequest
	signalStream  = psrpc.Stream[*rpc.RelaySignalResponse, *signalRequest]
	signalServing = psrpc.ServerStream[*rpc.RelaySignalResponse, *signalRequest]
)

// holdingRelay serves the signalling connections of clients as upstream does.
type holdingRelay struct{ rpc.SignalServerImpl }

func (r holdingRelay) RelaySignal(stream signalServing) error {
	held := holdStream(stream)
	defer held.start(nil)
	return r.SignalServerImpl.RelaySignal(held)
}

// holdingHandler starts sessions as upstream does, with the messages from holdingRelay.
type holdingHandler struct{ service.SessionHandler }

func (h holdingHandler) HandleSession(
	ctx context.Context, init participantInit, connection livekit.ConnectionID, requests messageSource, responses routing.MessageSink,
) error {
	(*private.Field[signalStream](responses, "Stream")).(*heldStream).start(requests)
	err := h.SessionHandler.HandleSession(ctx, init, connection, requests, responses)
	if err != nil {
		requests.Close() // no session reads them
	}
	return err
}

// heldStream passes requests on while the session has few to read, and keeps the others. It also passes on what a
// client sent before it closed its connection.
type heldStream struct {
	signalServing
	passed chan *signalRequest

	once     sync.Once
	started  chan struct{}
	requests messageSource // what the session reads; set when started is closed; nil: there is no session
}

func holdStream(stream signalServing) *heldStream {
	s := &heldStream{signalServing: stream, passed: make(chan *signalRequest), started: make(chan struct{})}
	go s.copy()
	return s
}

// start sets what the session reads, or nil if no session was started. Only the first call counts.
func (s *heldStream) start(requests messageSource) {
	s.once.Do(func() {
		s.requests = requests
		close(s.started)
	})
}

func (s *heldStream) Channel() <-chan *signalRequest { return s.passed }

func (s *heldStream) copy() {
	defer close(s.passed)
	incoming := s.signalServing.Channel()
	var waiting []*signalRequest
	size, log := 0, slog.Default()
	for incoming != nil || len(waiting) > 0 {
		var next *signalRequest
		var passed chan<- *signalRequest
		var look <-chan time.Time
		if len(waiting) > 0 {
			next, look = waiting[0], time.After(requestsLook)
			if next.StartSession != nil || s.hasRoom() {
				passed = s.passed
			}
		}
		select {
		case request, open := <-incoming:
			if !open {
				incoming = nil
				continue
			}
			if session := request.StartSession; session != nil {
				log = slog.With("room", session.RoomName, "participant", session.Identity)
			}
			for _, part := range split(request) {
				waiting = append(waiting, part)
				size += sizeOf(part)
			}
			if size > requestsWaiting {
				log.Warn("client sends more than media reads; its signalling connection ends")
				_ = s.Close(errRequestsWait)
				return
			}
		case passed <- next:
			waiting[0] = nil
			waiting = waiting[1:]
			size -= sizeOf(next)
		case <-look:
			if s.isOver() {
				return
			}
		}
	}
}

// hasRoom says whether the session can take another message now.
func (s *heldStream) hasRoom() bool {
	return s.isStarted() && s.requests != nil && len(s.requests.ReadChan()) < requestsAhead
}

// isOver says whether no session will read another message.
func (s *heldStream) isOver() bool {
	return s.isStarted() && (s.requests == nil || s.requests.IsClosed())
}

func (s *heldStream) isStarted() bool {
	select {
	case <-s.started:
		return true
	default:
		return false
	}
}

func sizeOf(request *signalRequest) int { return proto.Size(request) + requestSize }

// split makes one request of each message.
func split(request *signalRequest) []*signalRequest {
	if len(request.Requests) < 2 {
		return []*signalRequest{request}
	}
	parts := make([]*signalRequest, len(request.Requests))
	for i := range request.Requests {
		parts[i] = &signalRequest{Seq: request.Seq + uint64(i), Requests: request.Requests[i : i+1]}
	}
	parts[0].StartSession = request.StartSession
	parts[len(parts)-1].Close = request.Close
	return parts
}
