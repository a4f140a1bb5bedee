package probe

import (
	"testing"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/participant"
)

func TestMediaFromAnAddressThatClientsAreNotToldIsSaid(t *testing.T) {
	const told, told6 = "1 1 udp 1 198.51.100.9 7882 typ host", "1 1 udp 1 2001:DB8:0::9 7882 typ host"
	for _, c := range []struct {
		name, used string
		kind       webrtc.ICECandidateType
		offered    []string
		want       string
	}{
		{"what they are told", "198.51.100.9", webrtc.ICECandidateTypeHost, []string{told}, ""},
		{"found by a check before it was told", "198.51.100.9", webrtc.ICECandidateTypePrflx, []string{told}, ""},
		{"the second that they are told", "198.51.100.9", webrtc.ICECandidateTypeHost, []string{told6, told}, ""},
		{"written another way", "2001:db8::9", webrtc.ICECandidateTypePrflx, []string{told, told6}, ""},
		{"a name, which says nothing", "0b5f.local", webrtc.ICECandidateTypeHost, []string{told}, ""},
		{"another", "203.0.113.5", webrtc.ICECandidateTypePrflx, []string{told},
			"; media came from udp 203.0.113.5:7882, which clients are not told, and nothing answered at " +
				"udp 198.51.100.9:7882, which they are: behind a NAT none would have come"},
	} {
		var paths participant.Paths
		for _, text := range c.offered {
			candidate, err := ice.UnmarshalCandidate(text)
			if err != nil {
				t.Fatal(text, err)
			}
			paths.Remote = append(paths.Remote, candidate)
		}
		used := &webrtc.ICECandidate{Protocol: webrtc.ICEProtocolUDP, Typ: c.kind, Address: c.used, Port: 7882}
		got, untold := explainUntold(used, paths)
		if got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
		if want := "udp 203.0.113.5:7882"; (untold != "") != (c.want != "") || (untold != "" && untold != want) {
			t.Errorf("%s: evidence %q", c.name, untold)
		}
	}
}
