package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

func TestChecksAloneAreNoUse(t *testing.T) {
	seen, client := newSightings(noHome), netip.MustParseAddr("203.0.113.7")
	var pair ice.CandidatePair
	pair.UpdateRequestReceived()
	pair.UpdateRoundTripTime(time.Millisecond)
	noteUse(seen, "udp", client, &pair)
	if len(seen.all()) > 0 {
		t.Fatalf("%v", seen.all())
	}
	pair.UpdatePacketReceived(100)
	noteUse(seen, "udp", client, &pair)
	if got := seen.all()["udp"]; got.Address != client || time.Since(time.UnixMilli(int64(got.At*1000))) > patience {
		t.Errorf("%v", got)
	}
}

// A pair that two real ends agree on is seen by the check that comes before the first packet.
func TestTheSelectedPairIsSeen(t *testing.T) {
	seen := newSightings(noHome)
	var server, client webrtc.SettingEngine
	watchICE(&server, seen)
	for _, settings := range []*webrtc.SettingEngine{&server, &client} {
		settings.SetIncludeLoopbackCandidate(true)
		settings.SetInterfaceFilter(func(name string) bool { return name == "lo" || name == "lo0" })
		settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	}
	offerer, answerer := newPeer(t, client), newPeer(t, server)
	if _, err := offerer.CreateDataChannel("any", nil); err != nil {
		t.Fatal(err)
	}
	offer, err := offerer.CreateOffer(nil)
	describe(t, offerer, answerer, offer, err)
	answer, err := answerer.CreateAnswer(nil)
	describe(t, answerer, offerer, answer, err)

	eventually(t, "use of a path", func() bool { return len(seen.all()) > 0 })
	if got := seen.all(); len(got) != 1 || got["udp"].Address != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("%v", got)
	}
}

func newPeer(t *testing.T, settings webrtc.SettingEngine) *webrtc.PeerConnection {
	t.Helper()
	peer, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	return peer
}

// describe gives both ends a description, with all candidates in it.
func describe(t *testing.T, from, to *webrtc.PeerConnection, description webrtc.SessionDescription, err error) {
	t.Helper()
	gathered := webrtc.GatheringCompletePromise(from)
	if err == nil {
		err = from.SetLocalDescription(description)
	}
	if err == nil {
		<-gathered
		err = to.SetRemoteDescription(*from.LocalDescription())
	}
	if err != nil {
		t.Fatal(err)
	}
}
