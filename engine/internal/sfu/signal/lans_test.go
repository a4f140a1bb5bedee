package signal

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	"github.com/livekit/psrpc"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/lans"
)

var twoLANs = lans.New(enginetest.ParseAddresses("192.168.1.5 10.9.0.2"), func() ([][]netip.Prefix, error) {
	return enginetest.ParsePrefixes("192.168.1.5/24", "10.9.0.2/24"), nil
})

// fakeSource is upstream's end of a signalling connection.
type fakeSource struct {
	messages chan proto.Message
}

func (s fakeSource) ReadChan() <-chan proto.Message     { return s.messages }
func (s fakeSource) IsClosed() bool                     { return false }
func (s fakeSource) Close()                             { close(s.messages) }
func (s fakeSource) ConnectionID() livekit.ConnectionID { return "CO_x" }

type fakeRouter struct {
	messageRouter
	started startedSignal
	err     error
}

func (r fakeRouter) StartParticipantSignal(context.Context, livekit.RoomName, participantInit) (startedSignal, error) {
	return r.started, r.err
}

func startFrom(t *testing.T, client *livekit.ClientInfo, messages ...proto.Message) (messageSource, fakeSource) {
	t.Helper()
	source := fakeSource{make(chan proto.Message, len(messages))}
	for _, message := range messages {
		source.messages <- message
	}
	router := lanRouter{fakeRouter{started: startedSignal{ConnectionID: "CO_x", ResponseSource: source}}, twoLANs}
	started, err := router.StartParticipantSignal(t.Context(), "den", participantInit{Client: client})
	if err != nil || started.ConnectionID != "CO_x" {
		t.Fatal(started, err)
	}
	return started.ResponseSource, source
}

// nextMessage returns the next message, or nil at the end.
func nextMessage(t *testing.T, source messageSource) proto.Message {
	t.Helper()
	select {
	case message := <-source.ReadChan():
		return message
	case <-time.After(enginetest.Patience):
		t.Fatal("no message and no end")
		return nil
	}
}

func TestMessagesToALANGoThroughTheFilter(t *testing.T) {
	first, pong := enginetest.Trickle(livekit.SignalTarget_PUBLISHER, "192.168.1.5", false), &livekit.SignalResponse{Message: &livekit.SignalResponse_Pong{Pong: 1}}
	source, upstream := startFrom(t, &livekit.ClientInfo{Address: "192.168.1.20"}, first, pong, enginetest.Trickle(livekit.SignalTarget_PUBLISHER, "10.9.0.2", true))
	if got := nextMessage(t, source); got != pong {
		t.Errorf("%v", got)
	}
	if got := nextMessage(t, source); !proto.Equal(got, enginetest.Trickle(livekit.SignalTarget_PUBLISHER, "192.168.1.5", true)) {
		t.Errorf("%v", got)
	}
	upstream.Close()
	if got := nextMessage(t, source); got != nil {
		t.Errorf("after the end: %v", got)
	}
}

func TestAReaderThatReadsNoMoreEndsTheFilter(t *testing.T) {
	pong := &livekit.SignalResponse{Message: &livekit.SignalResponse_Pong{Pong: 1}}
	source, _ := startFrom(t, &livekit.ClientInfo{Address: "192.168.1.20"}, pong, pong, pong)
	source.Close()
	for range 4 {
		if nextMessage(t, source) == nil {
			return
		}
	}
	t.Error("the filter goes on")
}

func TestSignallingIsLeftAloneWhereNothingIsHidden(t *testing.T) {
	for _, client := range []*livekit.ClientInfo{nil, {}, {Address: "127.0.0.1"}, {Address: "198.51.100.7"}} {
		if source, upstream := startFrom(t, client); source != upstream {
			t.Errorf("%v: %T", client, source)
		}
	}
	failing := lanRouter{fakeRouter{err: errors.New("full")}, twoLANs}
	_, err := failing.StartParticipantSignal(t.Context(), "den", participantInit{Client: &livekit.ClientInfo{Address: "192.168.1.20"}})
	if err == nil || err.Error() != "full" {
		t.Errorf("%v", err)
	}
}

type fakeWHIP struct {
	rpc.WHIPClient[livekit.NodeID]
	response *rpc.WHIPCreateResponse
	err      error
}

func (w fakeWHIP) Create(context.Context, livekit.NodeID, *rpc.WHIPCreateRequest, ...psrpc.RequestOption) (*rpc.WHIPCreateResponse, error) {
	return w.response, w.err
}

func TestWHIPAnswersNameNoOtherLAN(t *testing.T) {
	near, far := "a="+enginetest.Candidate("192.168.1.5")+"\r\n", "a="+enginetest.Candidate("10.9.0.2")+"\r\n"
	servers := []*livekit.ICEServer{{Urls: []string{"turn:192.168.1.5:3478"}}, {Urls: []string{"turn:10.9.0.2:3478"}}}
	response := &rpc.WHIPCreateResponse{AnswerSdp: near + far, ParticipantId: "PA_x", IceServers: servers}
	for address, want := range map[string]*rpc.WHIPCreateResponse{
		"192.168.1.20": {AnswerSdp: near, ParticipantId: "PA_x", IceServers: servers[:1]},
		"10.9.0.20":    {AnswerSdp: far, ParticipantId: "PA_x", IceServers: servers[1:]},
		"198.51.100.7": response,
	} {
		request := &rpc.WHIPCreateRequest{StartSession: &livekit.StartSession{Client: &livekit.ClientInfo{Address: address}}}
		got, err := lanWHIP{fakeWHIP{response: response}, twoLANs}.Create(t.Context(), "ND_x", request)
		if err != nil || !proto.Equal(got, want) || strings.Count(response.AnswerSdp, "candidate") != 2 || len(response.IceServers) != 2 {
			t.Errorf("%s: %v, %v", address, got, err)
		}
	}
	if _, err := (lanWHIP{fakeWHIP{err: errors.New("full")}, twoLANs}).Create(t.Context(), "ND_x", &rpc.WHIPCreateRequest{}); err == nil {
		t.Error("no error")
	}
}
