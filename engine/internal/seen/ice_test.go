package seen

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/icechecks"
)

func TestChecksAloneAreNoUse(t *testing.T) {
	seen, client := New(neverInside), netip.MustParseAddrPort("203.0.113.7:4000")
	var pair ice.CandidatePair
	pair.UpdateRequestReceived()
	pair.UpdateRoundTripTime(time.Millisecond)
	for _, path := range []string{"udp", "tcp"} {
		noteUse(seen, icechecks.NewRecord(), path, client, &pair)
	}
	if len(seen.Proven())+len(seen.Unproven()) > 0 {
		t.Fatalf("%v, %v", seen.Proven(), seen.Unproven())
	}
	pair.UpdatePacketReceived(100)
	for _, path := range []string{"udp", "tcp"} {
		noteUse(seen, icechecks.NewRecord(), path, client, &pair)
	}
	for path, got := range map[string]Sighting{"udp": seen.Unproven()["udp"], "tcp": seen.Proven()["tcp"]} {
		if got.Address != client.Addr() || time.Since(time.UnixMilli(int64(got.At*1000))) > enginetest.Patience {
			t.Errorf("%s: %v", path, got)
		}
	}
	if len(seen.Proven()) != 1 || len(seen.Unproven()) != 1 {
		t.Errorf("%v, %v", seen.Proven(), seen.Unproven())
	}
}

// Two real ends agree on a pair. The end that does not know where the other is sends nothing until a packet arrives. So
// the test decides which end is first.
func TestAUseIsProvenByAClientThatCameUnasked(t *testing.T) {
	for name, c := range map[string]struct {
		serverFirst      bool
		proven, unproven int
	}{
		"client first": {false, 1, 0},
		"server first": {true, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			seen, first := New(neverInside), icechecks.NewRecord()
			opener, err := stdnet.NewNet()
			if err != nil {
				t.Fatal(err)
			}
			var server, client webrtc.SettingEngine
			WatchICE(&server, seen, first)
			server.SetNet(icechecks.Net{Net: opener, Record: first})
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
			describe(t, offerer, answerer, offer, err, c.serverFirst)
			answer, err := answerer.CreateAnswer(nil)
			describe(t, answerer, offerer, answer, err, !c.serverFirst)

			enginetest.Eventually(t, "use of a path", func() bool { return len(seen.Proven())+len(seen.Unproven()) > 0 })
			here := netip.MustParseAddr("127.0.0.1")
			for what, got := range map[string]map[string]Sighting{"proven": seen.Proven(), "unproven": seen.Unproven()} {
				want := map[string]int{"proven": c.proven, "unproven": c.unproven}[what]
				if len(got) != want || want > 0 && got["udp"].Address != here {
					t.Errorf("%s: %v", what, got)
				}
			}
		})
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

// describe gives both ends a description. With candidates, the description is sent once it has all of them.
func describe(
	t *testing.T, from, to *webrtc.PeerConnection, description webrtc.SessionDescription, err error, candidates bool,
) {
	t.Helper()
	gathered := webrtc.GatheringCompletePromise(from)
	if err == nil {
		err = from.SetLocalDescription(description)
	}
	if err == nil {
		<-gathered
		if candidates {
			description = *from.LocalDescription()
		}
		err = to.SetRemoteDescription(description)
	}
	if err != nil {
		t.Fatal(err)
	}
}
