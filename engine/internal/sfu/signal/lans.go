package signal

import (
	"context"
	"sync"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	"github.com/livekit/psrpc"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/lans"
)

// lanRouter starts signalling connections as upstream's router does. If an address is hidden from the client, the
// client's messages go through a filter.
type lanRouter struct {
	messageRouter
	lans lans.Networks
}

func (r lanRouter) StartParticipantSignal(ctx context.Context, room livekit.RoomName, init participantInit) (startedSignal, error) {
	started, err := r.messageRouter.StartParticipantSignal(ctx, room, init)
	if err != nil {
		return started, err
	}
	if far := r.lans.HiddenFrom(init.Client.GetAddress()); len(far) > 0 {
		started.ResponseSource = filterSource(started.ResponseSource, lans.NewFilter(far).Pass)
	}
	return started, nil
}

// filteredSource is a source whose messages go through a filter.
type filteredSource struct {
	messageSource
	passed chan proto.Message
	closed chan struct{} // closed by the reader
	close  func()
}

func filterSource(source messageSource, pass func(proto.Message) []proto.Message) *filteredSource {
	s := &filteredSource{messageSource: source, passed: make(chan proto.Message), closed: make(chan struct{})}
	s.close = sync.OnceFunc(func() { close(s.closed) })
	go s.copy(pass)
	return s
}

func (s *filteredSource) ReadChan() <-chan proto.Message { return s.passed }

// Close ends the source. This also ends copy, whether it waits for a message or for a reader.
func (s *filteredSource) Close() {
	s.close()
	s.messageSource.Close()
}

func (s *filteredSource) copy(pass func(proto.Message) []proto.Message) {
	defer close(s.passed)
	for message := range s.messageSource.ReadChan() {
		for _, passed := range pass(message) {
			select {
			case s.passed <- passed:
			case <-s.closed:
				return
			}
		}
	}
}

// lanWHIP does the same for clients that use WHIP: all that such a client is told is in the answer. An ICE restart
// (PATCH) is passed on unchanged, as it does not say where the client is.
type lanWHIP struct {
	rpc.WHIPClient[livekit.NodeID]
	lans lans.Networks
}

func (w lanWHIP) Create(
	ctx context.Context, node livekit.NodeID, request *rpc.WHIPCreateRequest, options ...psrpc.RequestOption,
) (*rpc.WHIPCreateResponse, error) {
	response, err := w.WHIPClient.Create(ctx, node, request, options...)
	if err != nil {
		return nil, err
	}
	if far := w.lans.HiddenFrom(request.GetStartSession().GetClient().GetAddress()); len(far) > 0 {
		response = proto.Clone(response).(*rpc.WHIPCreateResponse)
		response.AnswerSdp = far.NarrowSDP(response.AnswerSdp)
		response.IceServers = far.NarrowServers(response.IceServers)
	}
	return response, nil
}
