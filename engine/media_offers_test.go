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

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/participant"
)

// What media does not ask for while it waits for an offer, it asks for with the answer to that offer.
func TestMediaAsksForTheRestWithTheAnswer(t *testing.T) {
	t.Parallel()
	server := startSFU(t, enginetest.FreePort(t), "0", "")
	showPicture(t, server, "one")
	showPicture(t, server, "two")
	client := joinByOffer(t, server, calltest.Token(t, calltest.Secret, t.Name(), "sees"))
	_ = client.conn.SetReadDeadline(time.Now().Add(4 * enginetest.Patience))
	sections, due := uint32(0), false
	for sections < 2 {
		response, err := client.read()
		if err != nil {
			t.Fatalf("asked for %d sections: %v", sections, err)
		}
		if asked := response.GetMediaSectionsRequirement(); asked != nil {
			// The client makes one section, however many it is asked for. If it is asked for none, it offers what it
			// has, as clients do.
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
	silent := joinByOffer(t, server, calltest.Token(t, calltest.Secret, t.Name(), "silent"))
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
	if waited := time.Since(asked); asked.IsZero() || waited < 10*time.Second-100*time.Millisecond {
		t.Errorf("the client's signalling ended %v after it was asked for an offer", waited)
	}
	rooms := enginetest.AskControl(t, server.Control, "/status")["rooms"].([]any)
	if len(rooms) != 1 || rooms[0].(map[string]any)["participants"] != 2.0 {
		t.Errorf("a participant left the room: %v", rooms)
	}
}

// showPicture has a participant publish pictures in the test's room until the test ends.
func showPicture(t *testing.T, server calltest.Server, identity string) {
	t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "picture", "picture")
	if err != nil {
		t.Fatal(err)
	}
	request := &livekit.AddTrackRequest{Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA, Width: 16, Height: 16}
	server.Join(t, identity, false, participant.Publication{Track: track, Request: request})
	go func() { // a track exists for others from its first packets on
		for sequence := uint16(0); t.Context().Err() == nil; sequence++ {
			header := rtp.Header{Version: 2, Marker: true, SequenceNumber: sequence, Timestamp: uint32(sequence) * 3000}
			_ = track.WriteRTP(&rtp.Packet{Header: header, Payload: []byte{0x10, 0, 0, 0, 0x9d, 1, 0x2a, 16, 0, 16, 0}})
			time.Sleep(33 * time.Millisecond)
		}
	}()
}

// offeringClient is a client with one peer connection. It joined with an offer, and makes no other offer by itself.
type offeringClient struct {
	conn *websocket.Conn
	pc   *webrtc.PeerConnection
}

// joinByOffer joins as clients of /rtc/v1 do, with only a data channel.
func joinByOffer(t *testing.T, server calltest.Server, token string) *offeringClient {
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
	conn := openSignalling(t, server.URL+"/rtc/v1", token, query)
	return &offeringClient{conn, pc}
}

// addSections adds this many sections for pictures to the next offer.
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
