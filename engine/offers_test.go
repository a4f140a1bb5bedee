package main

import (
	"encoding/base64"
	"net/url"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	protosignalling "github.com/livekit/protocol/signalling"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/participant"
)

// fakeSink is where a client's messages go.
type fakeSink struct{ messageSink }

func (fakeSink) WriteMessage(proto.Message) error { return nil }

var (
	wanted = &livekit.SignalResponse{Message: &livekit.SignalResponse_MediaSectionsRequirement{
		MediaSectionsRequirement: &livekit.MediaSectionsRequirement{NumVideos: 1},
	}}
	offer = &livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: &livekit.SessionDescription{}}}
	trick = &livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{}}}
)

// offers is a router, and whom it lets resume.
type offers struct {
	offerRouter
	resumed chan livekit.ParticipantIdentity
	refused chan struct{} // takes one for each time that a client can't resume yet
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

// connect opens a client's signalling connection on which media asks for an offer at once.
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

func TestWhoDoesNotOfferResumes(t *testing.T) {
	o := newOffers(time.Millisecond)
	o.connect(t, "silent", false)
	o.expect(t, "silent")
}

func TestAnOfferIsWaitedForUntilItComesOrTheConnectionEnds(t *testing.T) {
	o := newOffers(time.Hour)
	offering, gone, silent := o.connect(t, "offering", false), o.connect(t, "gone", false), o.connect(t, "silent", false)
	_ = offering.RequestSink.WriteMessage(offer)
	gone.ResponseSource.Close()
	gone.ResponseSource.(watchedSource).watch.response(wanted) // which was on its way
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

func TestWhoCannotResumeYetDoesLater(t *testing.T) {
	o := newOffers(time.Millisecond)
	o.refused <- struct{}{}
	o.refused <- struct{}{}
	o.connect(t, "early", false)
	o.expect(t, "early")
}

func TestPatienceDoublesWithWhoNeverOffers(t *testing.T) {
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
	waits, who := &offerWaits{of: map[offerer]time.Duration{}}, offerer{"den", "silent"}
	waits.double(who, time.Millisecond)
	for end := time.Now().Add(enginetest.Patience); waits.next(who, 0) != 0; time.Sleep(time.Millisecond) {
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

// What is not asked for while an offer is waited for, media asks for with the answer to that offer.
func TestMediaAsksForTheRestWithTheAnswer(t *testing.T) {
	t.Parallel()
	server := startSFU(t, enginetest.FreePort(t), "0", "")
	showPicture(t, server, "one")
	showPicture(t, server, "two")
	client := joinByOffer(t, server, callToken(t, callSecret, t.Name(), "sees"))
	_ = client.conn.SetReadDeadline(time.Now().Add(4 * enginetest.Patience))
	sections, due := uint32(0), false
	for sections < 2 {
		response, err := client.read()
		if err != nil {
			t.Fatalf("asked for %d sections: %v", sections, err)
		}
		if asked := response.GetMediaSectionsRequirement(); asked != nil {
			// However many it is asked for, it makes one. For none it offers what it has, as clients do.
			made := min(asked.GetNumVideos(), 1)
			client.addSections(t, made)
			sections, due = sections+made, true
		}
		if due && client.pc.SignalingState() == webrtc.SignalingStateStable {
			due = false
			client.offer(t)
		}
	}
}

func TestMediaLetsClientsResumeThatDoNotOffer(t *testing.T) {
	t.Parallel()
	server := startSFU(t, enginetest.FreePort(t), "0", "")
	showPicture(t, server, "shows")
	silent := joinByOffer(t, server, callToken(t, callSecret, t.Name(), "silent"))
	var asked time.Time
	_ = silent.conn.SetReadDeadline(time.Now().Add(4 * enginetest.Patience))
	for {
		response, err := silent.read()
		if websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseAbnormalClosure, websocket.CloseNoStatusReceived) {
			break
		}
		if err != nil {
			t.Fatalf("asked for an offer %v: %v", !asked.IsZero(), err)
		}
		if response.GetMediaSectionsRequirement() != nil && asked.IsZero() {
			asked = time.Now()
		}
		if response.GetLeave() != nil {
			t.Errorf("the client is to leave: %v", response)
		}
	}
	if waited := time.Since(asked); asked.IsZero() || waited < offerPatience-100*time.Millisecond {
		t.Errorf("the client's signalling ended %v after it was asked for an offer", waited)
	}
	rooms := enginetest.AskControl(t, server.control, "/status")["rooms"].([]any)
	if len(rooms) != 1 || rooms[0].(map[string]any)["participants"] != 2.0 {
		t.Errorf("somebody left the room: %v", rooms)
	}
}

// showPicture has somebody show pictures in the room of the test until it ends.
func showPicture(t *testing.T, server callServer, identity string) {
	t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "picture", "picture")
	if err != nil {
		t.Fatal(err)
	}
	request := &livekit.AddTrackRequest{Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA, Width: 16, Height: 16}
	server.join(t, identity, false, participant.Publication{Track: track, Request: request})
	go func() { // a track is there for others with its first packets
		for sequence := uint16(0); t.Context().Err() == nil; sequence++ {
			header := rtp.Header{Version: 2, Marker: true, SequenceNumber: sequence, Timestamp: uint32(sequence) * 3000}
			_ = track.WriteRTP(&rtp.Packet{Header: header, Payload: []byte{0x10, 0, 0, 0, 0x9d, 1, 0x2a, 16, 0, 16, 0}})
			time.Sleep(33 * time.Millisecond)
		}
	}()
}

// offeringClient is a client with one peer connection, which came with an offer and makes no other.
type offeringClient struct {
	conn *websocket.Conn
	pc   *webrtc.PeerConnection
}

// joinByOffer joins as clients of /rtc/v1 do, with a data channel alone.
func joinByOffer(t *testing.T, server callServer, token string) *offeringClient {
	t.Helper()
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	if _, err := pc.CreateDataChannel("_reliable", nil); err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	description, err := pc.CreateOffer(nil)
	if err == nil {
		err = pc.SetLocalDescription(description)
	}
	if err != nil {
		t.Fatal(err)
	}
	<-gathered
	join, err := proto.Marshal(&livekit.JoinRequest{
		ClientInfo:         &livekit.ClientInfo{Sdk: livekit.ClientInfo_RUST, Protocol: 16},
		ConnectionSettings: &livekit.ConnectionSettings{AutoSubscribe: true},
		PublisherOffer:     &livekit.SessionDescription{Type: "offer", Sdp: pc.LocalDescription().SDP},
	})
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := proto.Marshal(&livekit.WrappedJoinRequest{JoinRequest: join})
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{"join_request": {base64.URLEncoding.EncodeToString(wrapped)}}
	conn := openSignalling(t, server.url+"/rtc/v1", token, query)
	return &offeringClient{conn, pc}
}

// addSections has the next offer make so many more sections, for pictures.
func (c *offeringClient) addSections(t *testing.T, sections uint32) {
	t.Helper()
	for range sections {
		init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := c.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, init); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *offeringClient) offer(t *testing.T) {
	t.Helper()
	description, err := c.pc.CreateOffer(nil)
	if err == nil {
		err = c.pc.SetLocalDescription(description)
	}
	if err != nil {
		t.Fatal(err)
	}
	sendRequest(t, c.conn, &livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{
		Offer: &livekit.SessionDescription{Type: "offer", Sdp: description.SDP},
	}})
}

// read returns the next message, after doing what a client does with an answer.
func (c *offeringClient) read() (*livekit.SignalResponse, error) {
	response, err := readResponse(c.conn)
	if err != nil {
		return nil, err
	}
	if answer := response.GetAnswer(); answer != nil {
		err = c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer.GetSdp()})
	}
	if trickle := response.GetTrickle(); trickle != nil && err == nil {
		var init webrtc.ICECandidateInit
		if init, err = protosignalling.FromProtoTrickle(trickle); err == nil {
			err = c.pc.AddICECandidate(init)
		}
	}
	return response, err
}
