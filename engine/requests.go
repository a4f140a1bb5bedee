package main

import (
	"context"
	"sync"

	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	"github.com/livekit/psrpc"
	"google.golang.org/protobuf/proto"
)

// requestsHeld is how many messages of one signalling connection media takes before it has read them. Upstream has room
// for 200 (routing/messagechannel.go, DefaultMessageChannelSize).
const requestsHeld = 150

// holdRequests lets the messages of a client wait while media is busy. Upstream ends at the first one that it has no room
// for: it reads no other message of that signalling connection, and leaves the connection open (routing/signal.go,
// CopySignalStreamToMessageChannel). The client stays in the room, and whatever it says is lost: its next offer, so that
// it gets no new track, what it publishes, that it leaves. A client that has relays to try and gathers for each of seven
// media sections sends 230 candidates at once.
//
// To be called before the server starts. If one of the fields is renamed, TestMediaReadsMoreMessagesThanItHasRoomFor fails.
func holdRequests(server *service.LivekitServer) {
	signal := *private[*service.SignalServer](server, "signalServer")
	relay := private[rpc.SignalServerImpl](*private[rpc.TypedSignalServer](signal, "server"), "svc")
	handler := private[service.SessionHandler](*relay, "sessionHandler")
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
	return r.SignalServerImpl.RelaySignal(holdStream(stream))
}

// holdingHandler starts sessions as upstream does, from what holdingRelay relays.
type holdingHandler struct{ service.SessionHandler }

func (h holdingHandler) HandleSession(
	ctx context.Context, init participantInit, connection livekit.ConnectionID, requests messageSource, responses routing.MessageSink,
) error {
	stream := (*private[signalStream](responses, "Stream")).(*heldStream)
	return h.SessionHandler.HandleSession(ctx, init, connection, stream.source(requests), responses)
}

// heldStream passes no more messages on than have been read.
type heldStream struct {
	signalServing
	passed chan *signalRequest
	held   chan struct{} // one for each message that was passed on and not read
	ended  chan struct{} // closed when no other will be read
	end    func()
}

func holdStream(stream signalServing) *heldStream {
	s := &heldStream{
		signalServing: stream,
		passed:        make(chan *signalRequest),
		held:          make(chan struct{}, requestsHeld),
		ended:         make(chan struct{}),
	}
	s.end = sync.OnceFunc(func() { close(s.ended) })
	go s.copy()
	return s
}

func (s *heldStream) Channel() <-chan *signalRequest { return s.passed }

func (s *heldStream) copy() {
	defer close(s.passed)
	for request := range s.signalServing.Channel() {
		for _, part := range split(request) {
			if len(part.Requests) > 0 && !s.hold() {
				return
			}
			select {
			case s.passed <- part:
			case <-s.Context().Done():
				return
			}
		}
	}
}

// hold waits until there is room for a message, and says whether the stream goes on.
func (s *heldStream) hold() bool {
	select {
	case s.held <- struct{}{}:
		return true
	case <-s.ended:
		return true
	case <-s.Context().Done():
		return false
	}
}

// source is what the session reads from.
func (s *heldStream) source(requests messageSource) messageSource {
	read := func(message proto.Message) []proto.Message {
		select {
		case <-s.held:
		case <-s.ended:
		}
		return []proto.Message{message}
	}
	return &heldSource{filterSource(requests, read), s.end}
}

type heldSource struct {
	*filteredSource
	end func()
}

func (s *heldSource) Close() {
	s.end()
	s.filteredSource.Close()
}

// split makes a request for each of the messages.
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
