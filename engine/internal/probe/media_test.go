package probe

import (
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

func newSound(t *testing.T) *stream {
	t.Helper()
	s, err := newStream(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "probe")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAMarkKnowsItsOwnPackets(t *testing.T) {
	own, foreign := newMark(), newMark()
	at := time.Unix(0, 1_700_000_000_123_456_789)
	for _, begin := range [][]byte{{opusHeader}, vp8KeyFrame} { // the server may rewrite what it begins with
		payload := append(append([]byte{}, begin...), own.trailer(4711, at)...)
		if number, sent, ok := own.read(payload); !ok || number != 4711 || !sent.Equal(at) {
			t.Errorf("own packet: %d, %s, %v", number, sent, ok)
		}
	}
	for name, payload := range map[string][]byte{
		"another publisher's": append([]byte{opusHeader}, foreign.trailer(1, at)...), "short": {1, 2, 3, 4, 5},
		"one that goes on": append(append([]byte{opusHeader}, own.trailer(1, at)...), 0), "none": nil, "padding": own.trailer(1, at),
	} {
		if _, _, ok := own.read(payload); ok {
			t.Errorf("%s packet was taken for an own one", name)
		}
	}
}

// arrive delivers packets that were sent every 20 ms, each after its own transit time.
func arrive(s *stream, transit map[uint32]time.Duration, numbers ...uint32) {
	begin := time.Unix(1_700_000_000, 0)
	for _, number := range numbers {
		sent := begin.Add(time.Duration(number) * packetInterval)
		s.count(append([]byte{opusHeader}, s.mark.trailer(number, sent)...), sent.Add(transit[number]))
	}
}

func TestLossCountsFromTheFirstArrival(t *testing.T) {
	s := newSound(t)
	if missing, of := s.missing(5); missing != 0 || of != 0 {
		t.Errorf("nothing arrived yet: %d of %d", missing, of)
	}
	s.sent = 10
	arrive(s, nil, 4, 6, 6, 8, 5) // late, twice, out of order
	if !closed(s.arrived) {
		t.Error("the first arrival was not told")
	}
	if missing, of := s.missing(s.lastSent()); missing != 2 || of != 6 { // 7 and 9, of 4 to 9
		t.Errorf("%d of %d are missing", missing, of)
	}
}

func TestJitterIsWhatTheWayTakesMoreOrLess(t *testing.T) {
	s := newSound(t)
	if s.jitter() != 0 {
		t.Error("of nothing")
	}
	const ms = time.Millisecond
	arrive(s, map[uint32]time.Duration{0: 50 * ms, 1: 50 * ms, 2: 80 * ms, 3: 50 * ms}, 0, 1, 2, 3)
	if got := s.jitter(); got != 30*ms { // of 0, 30 and 30
		t.Errorf("%s", got)
	}
}

// A pause of the machine delays a few packets; a bad line delays all of them, each by a different time.
func TestAPauseIsNoJitter(t *testing.T) {
	const ms, packets = time.Millisecond, 21
	pause, line := map[uint32]time.Duration{10: 300 * ms, 11: 280 * ms, 12: 260 * ms}, map[uint32]time.Duration{}
	var numbers []uint32
	for number := range uint32(packets) {
		numbers = append(numbers, number)
		line[number] = time.Duration(number*7%3) * 40 * ms
	}
	for name, c := range map[string]struct {
		transit map[uint32]time.Duration
		is      bool
	}{"a pause": {pause, false}, "a bad line": {line, true}} {
		s := newSound(t)
		arrive(s, c.transit, numbers...)
		if got := s.jitter(); got >= uneven != c.is {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestLatenessIsThatOfMostWakes(t *testing.T) {
	s := newSound(t)
	if s.lateness() != 0 {
		t.Error("of nothing")
	}
	for _, late := range []time.Duration{-5, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1000} {
		s.woke(late * time.Millisecond)
	}
	if got := s.lateness(); got != 8*time.Millisecond {
		t.Errorf("%s", got)
	}
}
