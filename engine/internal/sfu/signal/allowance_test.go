package signal

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/calltest"
)

func trickled(text string) *livekit.SignalRequest {
	return &livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{CandidateInit: text}}}
}

// Every kind of message that media keeps costs at least as much as is kept of it.
func TestWhatMediaKeepsCosts(t *testing.T) {
	long, tracks := strings.Repeat("x", 100_000), calltest.TrackNames(0, 50)
	description := &livekit.SessionDescription{Sdp: long}
	subscribe := &livekit.UpdateSubscription{TrackSids: tracks}
	people := []*livekit.ParticipantTracks{{TrackSids: tracks}}
	updates := []*livekit.UpdateDataSubscription_Update{{TrackSid: "DTR_1"}, {TrackSid: "DTR_2"}}
	for name, each := range map[string]struct {
		request *livekit.SignalRequest
		least   int
		most    int
	}{
		"nothing":   {&livekit.SignalRequest{}, 0, 0},
		"ping":      {calltest.Ping(1), 1, 10},
		"offer":     {&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: description}}, 101_000, 102_000},
		"answer":    {&livekit.SignalRequest{Message: &livekit.SignalRequest_Answer{Answer: description}}, 101_000, 102_000},
		"candidate": {trickled(long), 400_000, 401_000},
		"track":     {&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{Name: long}}}, 100_000, 101_000},
		"tracks":    {calltest.Subscription(tracks...), 50_000, 51_000},
		"same":      {calltest.Subscription("TR_x", "TR_x"), 1000, 1100},
		"people": {&livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{
			Subscription: &livekit.UpdateSubscription{ParticipantTracks: people},
		}}, 50_000, 51_000},
		"settings": {&livekit.SignalRequest{Message: &livekit.SignalRequest_TrackSetting{
			TrackSetting: &livekit.UpdateTrackSettings{TrackSids: tracks},
		}}, 50_000, 51_000},
		"data": {&livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateDataSubscription{
			UpdateDataSubscription: &livekit.UpdateDataSubscription{Updates: updates},
		}}, 2000, 2100},
		"state": {&livekit.SignalRequest{Message: &livekit.SignalRequest_SyncState{SyncState: &livekit.SyncState{
			Offer: description, Answer: description, Subscription: subscribe, TrackSidsDisabled: []string{"TR_a", "TR_b"},
		}}}, 52_000, 53_000},
		"data track": {&livekit.SignalRequest{Message: &livekit.SignalRequest_PublishDataTrackRequest{
			PublishDataTrackRequest: &livekit.PublishDataTrackRequest{PubHandle: 1},
		}}, dataTrackCost, dataTrackCost + 100},
		"simulation": {&livekit.SignalRequest{Message: &livekit.SignalRequest_Simulate{Simulate: &livekit.SimulateScenario{}}}, simulationCost, simulationCost},
		"metadata": {&livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateMetadata{
			UpdateMetadata: &livekit.UpdateParticipantMetadata{Metadata: long},
		}}, 100_000, 101_000},
	} {
		if cost := newAllowance(time.Now).costOf(demandOf(each.request)); cost < each.least || cost > each.most {
			t.Errorf("%s costs %d, want %d to %d", name, cost, each.least, each.most)
		}
	}
}

func TestTrackThatWasNamedCostsNoMore(t *testing.T) {
	a := newAllowance(time.Now)
	tracks := calltest.TrackNames(0, 500)
	for round, want := range []int{500 * trackCost, 0, 0} {
		if cost := a.costOf(demand{tracks: tracks}); cost != want {
			t.Errorf("round %d costs %d, want %d", round, cost, want)
		}
		a.remember(tracks)
	}
	for i := range 20 { // other tracks, until the first are forgotten
		a.remember(calltest.TrackNames(1000+1000*i, 1000))
	}
	if most := 2 * allowanceMost / trackCost; a.named.Len() > most {
		t.Errorf("%d tracks are remembered", a.named.Len())
	}
	if cost := a.costOf(demand{tracks: tracks}); cost != 500*trackCost {
		t.Errorf("forgotten tracks cost %d", cost)
	}
}

// heardSink records the messages that arrive.
type heardSink struct {
	messageSink
	heard  int
	closed atomic.Bool
}

func (s *heardSink) WriteMessage(proto.Message) error { s.heard++; return nil }
func (s *heardSink) IsClosed() bool                   { return s.closed.Load() }

func newAllowedSink(inner messageSink, a *allowance) *allowedSink {
	return &allowedSink{messageSink: inner, allowance: a, log: slog.New(slog.DiscardHandler)}
}

func TestAClientThatAsksForTooMuchIsReadMoreSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, heard := time.Now(), &heardSink{}
		sink := newAllowedSink(heard, newAllowance(time.Now))
		request := trickled(strings.Repeat("x", 250))
		cost := sink.allowance.costOf(demandOf(request))
		count := 10 * allowanceMost / cost
		for range count {
			if err := sink.WriteMessage(request); err != nil {
				t.Fatal(err)
			}
		}
		most := allowanceMost + time.Since(began).Seconds()*allowanceRate
		if asked := float64(count * cost); heard.heard != count || asked > most+1 || asked < most-allowanceRate*allowanceLook.Seconds() {
			t.Errorf("%d of %d messages, %f bytes of %f", heard.heard, count, asked, most)
		}
		if !sink.told {
			t.Error("it is not told")
		}
	})
}

func TestUsualClientDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, sink := time.Now(), newAllowedSink(&heardSink{}, newAllowance(time.Now))
		var requests []*livekit.SignalRequest
		for range 230 {
			requests = append(requests, trickled(strings.Repeat("x", 250)))
		}
		for track := range 500 {
			name := fmt.Sprint("TR_", track)
			requests = append(requests, calltest.Subscription(name), &livekit.SignalRequest{Message: &livekit.SignalRequest_TrackSetting{
				TrackSetting: &livekit.UpdateTrackSettings{TrackSids: []string{name}, Width: 1280, Height: 720},
			}})
		}
		description := &livekit.SessionDescription{Sdp: strings.Repeat("x", 1<<20)}
		requests = append(requests, &livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: description}})
		requests = append(requests, &livekit.SignalRequest{Message: &livekit.SignalRequest_SyncState{SyncState: &livekit.SyncState{
			Answer: description, TrackSidsDisabled: calltest.TrackNames(0, 500),
		}}})
		for _, request := range requests {
			if err := sink.WriteMessage(request); err != nil {
				t.Fatal(err)
			}
		}
		if waited := time.Since(began); waited > 0 || sink.allowance.left < allowanceMost/2 {
			t.Errorf("waited %s, %f left", waited, sink.allowance.left)
		}
	})
}

// Descriptions that media has not processed wait inside media.
func TestDescriptionCostsUntilMediaHasWorkedItOff(t *testing.T) {
	description := &livekit.SessionDescription{Sdp: strings.Repeat("x", 1<<20)}
	offer := &livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: description}}
	answer := &livekit.SignalRequest{Message: &livekit.SignalRequest_Answer{Answer: description}}
	offers := &livekit.SignalResponse{Message: &livekit.SignalResponse_Offer{Offer: description}}
	answers := &livekit.SignalResponse{Message: &livekit.SignalResponse_Answer{Answer: description}}
	for name, pair := range map[string]struct {
		request  *livekit.SignalRequest
		response *livekit.SignalResponse
		other    *livekit.SignalResponse
	}{"offers": {offer, answers, offers}, "answers": {answer, offers, answers}} {
		synctest.Test(t, func(t *testing.T) {
			began, sink := time.Now(), newAllowedSink(&heardSink{}, newAllowance(time.Now))
			for range 100 {
				_ = sink.WriteMessage(pair.request)
				if passed := sink.response(pair.response); len(passed) != 1 || passed[0] != pair.response {
					t.Fatalf("%s: the client is told %v", name, passed)
				}
			}
			if waited := time.Since(began); waited > 0 {
				t.Errorf("%s that are worked off: waited %s", name, waited)
			}
			for range 5 {
				_ = sink.WriteMessage(pair.request)
				sink.response(pair.other)
			}
			if waited := time.Since(began); waited < 15*time.Second {
				t.Errorf("%s that are not: waited %s", name, waited)
			}
		})
	}
}

func TestMessageThatAsksForMoreThanAnybodyMayHaveEndsItsConnection(t *testing.T) {
	heard := &heardSink{}
	sink := newAllowedSink(heard, newAllowance(time.Now))
	if err := sink.WriteMessage(calltest.Subscription(calltest.TrackNames(0, 20_000)...)); !errors.Is(err, errAllowance) || heard.heard != 0 {
		t.Errorf("%d messages, %v", heard.heard, err)
	}
}

// A client that is refused, or that leaves instead of waiting, may come back and ask for the same.
func TestTrackCostsUntilItIsPaidFor(t *testing.T) {
	now := time.Now()
	a, tracks := newAllowance(func() time.Time { return now }), calltest.TrackNames(0, 8000)
	heard := &heardSink{}
	heard.closed.Store(true)
	sink := newAllowedSink(heard, a)
	if err := sink.WriteMessage(calltest.Subscription(tracks...)); !errors.Is(err, errAllowance) {
		t.Fatalf("8000 tracks at once: %v", err)
	}
	last := calltest.Subscription(tracks[6000:]...)
	a.left = 0
	_ = sink.WriteMessage(last)
	a.left = allowanceMost
	_ = sink.WriteMessage(last)
	if paid := allowanceMost - a.left; paid < 2000*trackCost {
		t.Errorf("paid %.0f of %d", paid, 2000*trackCost)
	}
}

func TestClosedConnectionWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := &heardSink{}
		sink := newAllowedSink(heard, newAllowance(time.Now))
		sink.allowance.left = 0
		began := time.Now()
		time.AfterFunc(5*time.Second, func() { heard.closed.Store(true) })
		_ = sink.WriteMessage(calltest.Subscription(calltest.TrackNames(0, 2000)...)) // as much as half a minute gives
		if waited := time.Since(began); waited > 5*time.Second+allowanceLook {
			t.Errorf("waited %s", waited)
		}
	})
}

func TestAllowanceIsTheClientsWhateverItsConnection(t *testing.T) {
	now := time.Now()
	all := &allowances{clock: func() time.Time { return now }, of: map[offerer]*allowance{}}
	from := offerer{"room", "ann"}
	all.get(from).left = 0
	if all.get(from).left != 0 || all.get(offerer{"room", "bob"}).left != allowanceMost || all.get(offerer{"other", "ann"}).left != allowanceMost {
		t.Error("an allowance is not that of one client in one room")
	}
	now = now.Add(time.Hour)
	if all.get(from); len(all.of) != 1 {
		t.Errorf("%d are kept that are whole again", len(all.of))
	}
}
