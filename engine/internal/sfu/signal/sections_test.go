package signal

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

func offerOf(line string, first, count int) *livekit.SessionDescription {
	var sdp strings.Builder
	sdp.WriteString("v=0")
	for mid := first; mid < first+count; mid++ {
		fmt.Fprintf(&sdp, "%sm=video 9 UDP/TLS/RTP/SAVPF 96%sa=mid:%d", line, line, mid)
	}
	return &livekit.SessionDescription{Sdp: sdp.String()}
}

func TestOfferOfTooManySectionsEndsItsConnection(t *testing.T) {
	for _, line := range []string{"\r\n", "\n", "\n\r", "\r"} {
		for count, want := range map[int]error{sectionsMost: nil, sectionsMost + 1: errSections} {
			offer := offerOf(line, 0, count)
			sink := newAllowedSink(&heardSink{}, newAllowance(time.Now))
			if err := sink.WriteMessage(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: offer}}); !errors.Is(err, want) {
				t.Errorf("%d sections after %q: %v", count, line, err)
			}
			router := newAllowanceRouter(fakeRouter{started: startedSignal{ResponseSource: fakeSource{make(chan proto.Message)}}})
			if _, err := router.StartParticipantSignal(t.Context(), "room", participantInit{PublisherOffer: offer}); !errors.Is(err, want) {
				t.Errorf("join with %d sections after %q: %v", count, line, err)
			}
		}
	}
}

// Media also keeps sections that the next offer lacks.
func TestSectionsOfLaterOffersAreCountedToo(t *testing.T) {
	now, s := time.Now(), newSections()
	for offers := range 10 { // the same sections again, and each time a few more
		if !s.take(now, offerOf("\r\n", 0, 100+offers)) {
			t.Fatalf("offer %d is refused", offers)
		}
	}
	if !s.take(now, offerOf("\r\n", 1000, sectionsMost-109)) || s.take(now, offerOf("\r\n", 5000, 1)) || s.isWhole(now) {
		t.Error("more sections than media keeps are let through")
	}
	if now = now.Add(time.Second); !s.take(now, offerOf("\r\n", 5000, 1)) {
		t.Error("no other section a second later")
	}
	if !s.isWhole(now.Add(sectionsMost * time.Second)) {
		t.Error("it is not whole again")
	}
}

func TestDuplicateSectionsCount(t *testing.T) {
	offer := &livekit.SessionDescription{Sdp: strings.Repeat("m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n", sectionsMost+1)}
	if newSections().take(time.Now(), offer) {
		t.Error("it is let through")
	}
}
