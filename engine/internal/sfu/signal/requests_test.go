package signal

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/livekit/livekit-server/pkg/config"
	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	"github.com/livekit/psrpc"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/enginetest"
)

// fakeStream is a signalling connection over which a client has sent these requests.
type fakeStream struct {
	psrpc.ServerStream[*rpc.RelaySignalResponse, *signalRequest]
	requests chan *signalRequest
	ctx      context.Context
	closed   chan error
}

func (s fakeStream) Channel() <-chan *signalRequest { return s.requests }
func (s fakeStream) Context() context.Context       { return s.ctx }
func (s fakeStream) Err() error                     { return s.ctx.Err() }
func (s fakeStream) Hijack()                        {}

func (s fakeStream) Send(*rpc.RelaySignalResponse, ...psrpc.StreamOption) error { return nil }

func (s fakeStream) Close(cause error) error {
	select {
	case s.closed <- cause:
	default:
	}
	return nil
}

func newFakeStream(t *testing.T, requests ...*signalRequest) fakeStream {
	s := fakeStream{requests: make(chan *signalRequest, len(requests)), ctx: t.Context(), closed: make(chan error, 1)}
	for _, request := range requests {
		s.requests <- request
	}
	return s
}

// left is the connection of a client that closed it after these requests.
func left(t *testing.T, requests ...*signalRequest) fakeStream {
	s := newFakeStream(t, requests...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.ctx = ctx
	close(s.requests)
	return s
}

// burst is one request with a number of messages. first is the number of the first message.
func burst(first uint64, messages int) *signalRequest {
	request := &signalRequest{Seq: first}
	for i := range messages {
		request.Requests = append(request.Requests, calltest.Ping(int64(first)+int64(i)))
	}
	return request
}

type requestReader struct{}

func (requestReader) Read(request *signalRequest) (messages []proto.Message, err error) {
	for _, message := range request.Requests {
		messages = append(messages, message)
	}
	return messages, nil
}

// relayInto does what upstream does between the connection and the session. It returns how the connection ended.
func relayInto(requests *routing.MessageChannel, stream signalStream) <-chan error {
	ended := make(chan error, 1)
	go func() {
		ended <- routing.CopySignalStreamToMessageChannel(stream, requests, requestReader{}, config.SignalRelayConfig{}, func() {}, func() {})
		requests.Close()
	}()
	return ended
}

func TestUpstreamLosesMessagesThatItHasNoRoomFor(t *testing.T) {
	ended := relayInto(routing.NewDefaultMessageChannel("CO_x"), newFakeStream(t, burst(0, 201)))
	if err := <-ended; !errors.Is(err, routing.ErrChannelFull) {
		t.Errorf("upstream has mended it (%v): requests.go can go", err)
	}
}

// A request that was confirmed too late is sent again, together with later messages.
var repeating = []*signalRequest{burst(0, 500), burst(500, 1), burst(200, 310), burst(0, 520)}

func TestMessagesWaitUntilTheyAreRead(t *testing.T) {
	stream := newFakeStream(t, append(slices.Clone(repeating), &signalRequest{Seq: 520, Close: true})...)
	if err := hearAll(t, stream, 520); err != nil {
		t.Errorf("the connection ended with %v", err)
	}
}

func TestWhatAClientSaidBeforeItLeftIsRead(t *testing.T) {
	if err := hearAll(t, left(t, repeating...), 520); !errors.Is(err, context.Canceled) {
		t.Errorf("the connection ended with %v", err)
	}
}

// hearAll reads a client's messages and returns how its connection ended.
func hearAll(t *testing.T, stream fakeStream, messages int64) error {
	t.Helper()
	requests, held := routing.NewDefaultMessageChannel("CO_x"), holdStream(stream)
	ended := relayInto(requests, held)
	held.start(requests)
	for want := range messages {
		message, _ := nextMessage(t, requests).(*livekit.SignalRequest)
		if message == nil || message.GetPing() != want {
			t.Fatalf("message %d is %v", want, message)
		}
	}
	return endOf(t, ended)
}

func endOf(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(enginetest.Patience):
		t.Fatal("the connection does not end")
		return nil
	}
}

func TestSessionThatEndsHoldsNoMessages(t *testing.T) {
	requests, held := routing.NewDefaultMessageChannel("CO_x"), holdStream(newFakeStream(t, burst(0, 500)))
	ended := relayInto(requests, held)
	held.start(requests)
	requests.Close()
	if err := endOf(t, ended); err != nil && !errors.Is(err, routing.ErrChannelClosed) {
		t.Errorf("the connection ended with %v", err)
	}
}

func TestSessionThatEndedLeavesNothingBehind(t *testing.T) {
	requests := routing.NewDefaultMessageChannel("CO_x")
	requests.Close()
	held := &heldStream{signalServing: newFakeStream(t, burst(0, 500)), passed: make(chan *signalRequest), started: make(chan struct{})}
	held.start(requests)
	ended := make(chan error, 1)
	go func() {
		held.copy()
		ended <- nil
	}()
	_ = endOf(t, ended)
}

func TestWhatWasReadWaitsNoLonger(t *testing.T) {
	stream := newFakeStream(t)
	requests, held := routing.NewDefaultMessageChannel("CO_x"), holdStream(stream)
	relayInto(requests, held)
	held.start(requests)
	large := &livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateMetadata{
		UpdateMetadata: &livekit.UpdateParticipantMetadata{Metadata: strings.Repeat("x", requestsWaiting/2)},
	}}
	for number := range uint64(3) {
		stream.requests <- &signalRequest{Seq: number, Requests: []*livekit.SignalRequest{large}}
		if nextMessage(t, requests) == nil {
			t.Fatalf("the connection ends with message %d", number)
		}
	}
}

func TestConnectionWithMoreThanCanWaitEnds(t *testing.T) {
	stream := newFakeStream(t, burst(0, requestsWaiting/requestSize))
	held := holdStream(stream)
	held.start(routing.NewDefaultMessageChannel("CO_x"))
	if cause := endOf(t, stream.closed); !errors.Is(cause, errRequestsWait) {
		t.Errorf("closed with %v", cause)
	}
	for range held.Channel() { // ends
	}
}

type relaying func(signalServing) error

func (r relaying) RelaySignal(stream signalServing) error { return r(stream) }

func TestConnectionWithoutASessionIsHeldNoLonger(t *testing.T) {
	refused := errors.New("refused")
	var held signalServing
	relay := holdingRelay{relaying(func(stream signalServing) error {
		held = stream
		return refused
	})}
	if err := relay.RelaySignal(newFakeStream(t, burst(0, 1))); !errors.Is(err, refused) {
		t.Errorf("relayed with %v", err)
	}
	for range held.Channel() { // ends
	}
}

type refusingHandler struct {
	service.SessionHandler
	err error
}

func (h refusingHandler) HandleSession(context.Context, participantInit, livekit.ConnectionID, messageSource, routing.MessageSink) error {
	return h.err
}

func TestSessionThatDoesNotStartLeavesNothingBehind(t *testing.T) {
	for _, refused := range []error{nil, errors.New("refused")} {
		requests, held := routing.NewDefaultMessageChannel("CO_x"), holdStream(newFakeStream(t, burst(0, 500)))
		defer requests.Close()
		sink := routing.NewSignalMessageSink(routing.SignalSinkParams[*rpc.RelaySignalResponse, *signalRequest]{Stream: held})
		err := holdingHandler{refusingHandler{err: refused}}.HandleSession(t.Context(), participantInit{}, "CO_x", requests, sink)
		if !errors.Is(err, refused) || requests.IsClosed() != (refused != nil) {
			t.Errorf("%v: closed %v, %v", refused, requests.IsClosed(), err)
		}
	}
}

func TestSplitKeepsWhatIsSaidOnce(t *testing.T) {
	start := &livekit.StartSession{Identity: "ann"}
	parts := split(&signalRequest{StartSession: start, Seq: 7, Requests: burst(7, 3).Requests, Close: true})
	for i, want := range []struct {
		start *livekit.StartSession
		close bool
	}{{start, false}, {nil, false}, {nil, true}} {
		part := parts[i]
		if part.StartSession != want.start || part.Close != want.close || part.Seq != uint64(7+i) || len(part.Requests) != 1 {
			t.Errorf("part %d: %v", i, part)
		}
	}
	if whole := (&signalRequest{StartSession: start}); split(whole)[0] != whole {
		t.Error("a request without messages is not itself")
	}
}
