package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/failure"
)

// livekit-server makes each peer connection use its MediaEngine unchanged, and lets one connection carry VP8 and H.264
// in separate sections. Upstream's pion/webrtc takes the codecs of the first section for all; the copy that we build
// with doesn't.
func TestWebRTCTakesTheCodecsOfEachSection(t *testing.T) {
	connect := func(codecs ...webrtc.RTPCodecParameters) *webrtc.PeerConnection {
		var media webrtc.MediaEngine
		for _, codec := range codecs {
			if err := media.RegisterCodec(codec, webrtc.RTPCodecTypeVideo); err != nil {
				t.Fatal(err)
			}
		}
		var settings webrtc.SettingEngine
		settings.DisableMediaEngineCopy(true)
		settings.EnableSped(true) // does nothing, and is there
		pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(&media), webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = pc.Close() })
		return pc
	}
	codec := func(mime string, number webrtc.PayloadType) webrtc.RTPCodecParameters {
		return webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000}, PayloadType: number}
	}
	vp8, vp9 := codec(webrtc.MimeTypeVP8, 96), codec(webrtc.MimeTypeVP9, 98)
	browser, server := connect(vp8, vp9), connect(vp8, vp9)
	for _, each := range []webrtc.RTPCodecParameters{vp8, vp8, vp9} {
		transceiver, err := browser.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		if err != nil {
			t.Fatal(err)
		}
		if err := transceiver.SetCodecPreferences([]webrtc.RTPCodecParameters{each}); err != nil {
			t.Fatal(err)
		}
	}
	offer, err := browser.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.SetRemoteDescription(offer); err != nil {
		t.Fatal(err)
	}
	answer, err := server.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a=rtpmap:96 VP8/90000", "a=rtpmap:98 VP9/90000"} {
		if !strings.Contains(answer.SDP, name) {
			t.Errorf("no %s in the answer:\n%s", name, answer.SDP)
		}
	}
}

// Otherwise it would be on in the configuration, and off in every call.
func TestMediaRefusesWhatItIsBuiltWithout(t *testing.T) {
	media := engineCommand("media", "--config", "-", "--control", filepath.Join(t.TempDir(), "c"))
	media.Stdin = strings.NewReader(enginetest.GoodKeys + "port: " + enginetest.FreePort(t) + "\nbind_addresses: [127.0.0.1]\nrtc: {node_ip: 127.0.0.1, enable_warp: true}\n")
	stdout, _ := media.Output()
	if code := media.ProcessState.ExitCode(); code != failure.ExitUsage || !strings.Contains(string(stdout), "rtc.enable_warp: this engine is built without it") {
		t.Errorf("exit code %d, %s", code, stdout)
	}
}
