package probe

import (
	"testing"
	"time"
)

func TestAMarkKnowsItsOwnPackets(t *testing.T) {
	own, foreign := newMark(), newMark()
	payload := own.payload(4711, time.Now())
	if number, ok := own.sequence(payload); !ok || number != 4711 {
		t.Errorf("own packet: %d, %v", number, ok)
	}
	for name, payload := range map[string][]byte{
		"another publisher's": foreign.payload(1, time.Now()), "short": payload[:5], "long": append(payload[:len(payload):len(payload)], 0), "none": nil,
	} {
		if _, ok := own.sequence(payload); ok {
			t.Errorf("%s packet was taken for an own one", name)
		}
	}
}

func TestLossCountsFromTheFirstArrival(t *testing.T) {
	s, err := newStream()
	if err != nil {
		t.Fatal(err)
	}
	s.sent = 10
	for _, number := range []uint32{4, 6, 6, 8, 5} { // late, twice, out of order
		s.count(s.mark.payload(number, time.Now()))
	}
	if !closed(s.arrived) {
		t.Error("the first arrival was not told")
	}
	if missing, of := s.missing(s.lastSent()); missing != 2 || of != 6 { // 7 and 9, of 4 to 9
		t.Errorf("%d of %d are missing", missing, of)
	}
}
