package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/livekit-server/pkg/config"
	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	"github.com/livekit/psrpc"
	"google.golang.org/protobuf/proto"
)

// fakeStream is a signalling connection on which a client has sent these requests.
type fakeStream struct {
	psrpc.ServerStream[*rpc.RelaySignalResponse, *signalRequest]
	requests chan *signalRequest
	ctx      context.Context
}

func (s fakeStream) Channel() <-chan *signalRequest { return s.requests }
func (s fakeStream) Context() context.Context       { return s.ctx }
func (s fakeStream) Close(error) error              { return nil }
func (s fakeStream) Err() error                     { return s.ctx.Err() }

func newFakeStream(ctx context.Context, requests ...*signalRequest) fakeStream {
	s := fakeStream{requests: make(chan *signalRequest, len(requests)), ctx: ctx}
	for _, request := range requests {
		s.requests <- request
	}
	return s
}

// burst is one request with so many messages, the first of which is the given one.
func burst(first uint64, messages int) *signalRequest {
	request := &signalRequest{Seq: first}
	for i := range messages {
		request.Requests = append(request.Requests, ping(int64(first)+int64(i)))
	}
	return request
}

func ping(number int64) *livekit.SignalRequest {
	return &livekit.SignalRequest{Message: &livekit.SignalRequest_Ping{Ping: number}}
}

type requestReader struct{}

func (requestReader) Read(request *signalRequest) (messages []proto.Message, err error) {
	for _, message := range request.Requests {
		messages = append(messages, message)
	}
	return messages, nil
}

// relayInto does what upstream does between the connection and the session, and returns how it ended.
func relayInto(requests *routing.MessageChannel, stream signalStream) <-chan error {
	ended := make(chan error, 1)
	go func() {
		ended <- routing.CopySignalStreamToMessageChannel(stream, requests, requestReader{}, config.SignalRelayConfig{}, func() {}, func() {})
		requests.Close()
	}()
	return ended
}

func TestUpstreamLosesMessagesThatItHasNoRoomFor(t *testing.T) {
	ended := relayInto(routing.NewDefaultMessageChannel("CO_x"), newFakeStream(t.Context(), burst(0, 201)))
	if err := <-ended; !errors.Is(err, routing.ErrChannelFull) {
		t.Errorf("upstream has mended it (%v): requests.go can go", err)
	}
}

func TestMessagesWaitUntilTheyAreRead(t *testing.T) {
	requests := routing.NewDefaultMessageChannel("CO_x")
	stream := holdStream(newFakeStream(t.Context(), burst(0, 500), burst(500, 1), burst(490, 20), &signalRequest{Seq: 510, Close: true}))
	ended := relayInto(requests, stream)
	source := stream.source(requests)
	for want := range int64(510) {
		message, _ := nextMessage(t, source).(*livekit.SignalRequest)
		if message.GetPing() != want {
			t.Fatalf("message %d is %v", want, message)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("the connection ended with %v", err)
	}
}

func TestWaitingMessagesEndWithTheConnection(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stream := holdStream(newFakeStream(ctx, burst(0, 500)))
	ended := relayInto(routing.NewDefaultMessageChannel("CO_x"), stream)
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the connection ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the connection does not end")
	}
}

func TestSessionThatEndsHoldsNoMessages(t *testing.T) {
	requests := routing.NewMessageChannel("CO_x", 1000)
	stream := holdStream(newFakeStream(t.Context(), burst(0, 500), &signalRequest{Seq: 500, Close: true}))
	stream.source(requests).Close()
	select {
	case err := <-relayInto(requests, stream):
		if err != nil && !errors.Is(err, routing.ErrChannelClosed) {
			t.Errorf("the connection ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the connection does not end")
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

func TestMediaReadsMoreMessagesThanItHasRoomFor(t *testing.T) {
	t.Parallel()
	server := startSFU(t, freePort(t), "0", "")
	query := url.Values{"access_token": {callToken(t, callSecret, t.Name(), "talks")}, "protocol": {"16"}}
	conn, _, err := websocket.DefaultDialer.Dial(server.url+"/rtc?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetWriteDeadline(time.Now().Add(patience))
	for i := range 5000 {
		candidate := fmt.Sprintf(`{"candidate":"candidate:1 1 udp 2122194687 192.0.2.1 %d typ host","sdpMLineIndex":0}`, 1+i)
		sendRequest(t, conn, &livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{CandidateInit: candidate}}})
	}
	sendRequest(t, conn, &livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateMetadata{
		UpdateMetadata: &livekit.UpdateParticipantMetadata{Metadata: "after all that", RequestId: 42},
	}})
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			t.Fatalf("waiting for an answer to the last message: %v", err)
		}
		response := &livekit.SignalResponse{}
		if err := proto.Unmarshal(data, response); err != nil {
			t.Fatal(err)
		}
		if response.GetRequestResponse().GetRequestId() == 42 {
			return
		}
	}
}

func sendRequest(t *testing.T, conn *websocket.Conn, request *livekit.SignalRequest) {
	t.Helper()
	data, err := proto.Marshal(request)
	if err == nil {
		err = conn.WriteMessage(websocket.BinaryMessage, data)
	}
	if err != nil {
		t.Fatal(err)
	}
}
