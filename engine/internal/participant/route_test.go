package participant

import (
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

func TestRouteAllows(t *testing.T) {
	udp := Route{Networks: []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6}}
	tcp := Route{Networks: []webrtc.NetworkType{webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6}}
	local := Route{Networks: udp.Networks, Loopback: true}
	for _, c := range []struct {
		candidate string
		route     Route
		want      bool
	}{
		{"1 1 udp 1 198.18.0.1 7882 typ host", udp, true},
		{"1 1 udp 1 198.18.0.1 7882 typ host", tcp, false},
		{"1 1 udp 1 198.18.0.1 7882 typ host", Route{}, false},
		{"1 1 udp 1 2001:db8::1 7882 typ host", udp, true},
		{"1 1 udp 1 198.18.0.1 7882 typ srflx raddr 10.0.0.1 rport 7882", udp, true},
		{"1 1 tcp 1 198.18.0.1 7881 typ host tcptype passive", tcp, true},
		{"1 1 tcp 1 198.18.0.1 7881 typ host tcptype passive", udp, false},
		{"1 1 tcp 1 198.18.0.1 9 typ host tcptype active", tcp, false},
		{"1 1 udp 1 127.0.0.1 7882 typ host", udp, false},
		{"1 1 udp 1 127.0.0.1 7882 typ host", local, true},
		{"1 1 udp 1 ::1 7882 typ host", udp, false},
		{"1 1 udp 1 0b5f.local 7882 typ host", local, false},
	} {
		candidate, err := ice.UnmarshalCandidate(c.candidate)
		if err != nil {
			t.Fatal(c.candidate, err)
		}
		if got := c.route.Allows(candidate); got != c.want {
			t.Errorf("%s on %v: %v", c.candidate, c.route.Networks, got)
		}
	}
}

func TestRouteKeepsOnlyServersThatWereAskedFor(t *testing.T) {
	offered := []*livekit.ICEServer{
		{Urls: []string{"stun:stun.l.google.com:19302"}},
		{Urls: []string{"turn:hub:3478?transport=udp", "turns:hub:443?transport=tcp"}, Username: "u", Credential: "c"},
	}
	if kept := (Route{}).ICEServers(offered); kept != nil {
		t.Errorf("without a Server: %v", kept)
	}
	route := Route{Server: func(url string) bool { return strings.HasPrefix(url, "turn:") }}
	want := []webrtc.ICEServer{{URLs: []string{"turn:hub:3478?transport=udp"}, Username: "u", Credential: "c"}}
	if kept := route.ICEServers(offered); !reflect.DeepEqual(kept, want) {
		t.Errorf("kept %v, want %v", kept, want)
	}
}

func TestCandidatesAreTakenOutOfDescriptions(t *testing.T) {
	description, candidates := splitCandidates("v=0\r\nm=audio 9\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\na=mid:0\r\n")
	if description != "v=0\r\nm=audio 9\r\na=mid:0\r\n" {
		t.Errorf("description: %q", description)
	}
	if len(candidates) != 1 || candidates[0].Candidate != "candidate:1 1 udp 1 192.0.2.1 1 typ host" {
		t.Errorf("candidates: %v", candidates)
	}
}

func TestAnnouncedCandidatesKeepTheirAddress(t *testing.T) {
	for candidate, want := range map[string]string{
		"candidate:1 1 udp 5 192.0.2.1 30000 typ relay raddr 0.0.0.0 rport 4": "candidate:1 1 udp 5 192.0.2.1 30000 typ host",
		"candidate:1 1 tcp 5 192.0.2.1 4000 typ host tcptype active":          "candidate:1 1 tcp 5 192.0.2.1 4000 typ host",
		"": "",
	} {
		if got := withoutWait(candidate); got != want {
			t.Errorf("%q became %q", candidate, got)
		}
	}
}

func TestCandidatesAreLedToWhereTheyAreFromHere(t *testing.T) {
	route := Route{Leads: map[netip.Addr]netip.Addr{
		netip.MustParseAddr("203.0.113.5"): netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("2001:db8::5"): netip.MustParseAddr("fd00::5"),
	}}
	for candidate, want := range map[string]string{
		"candidate:1 1 udp 1 203.0.113.5 7882 typ host":                 "candidate:1 1 udp 1 10.0.0.5 7882 typ host",
		"candidate:1 1 tcp 1 2001:db8::5 7881 typ host tcptype passive": "candidate:1 1 tcp 1 fd00::5 7881 typ host tcptype passive",
		"candidate:1 1 udp 1 203.0.113.6 7882 typ host":                 "candidate:1 1 udp 1 203.0.113.6 7882 typ host",
		"candidate:1 1 udp 1 0b5f.local 7882 typ host":                  "candidate:1 1 udp 1 0b5f.local 7882 typ host",
	} {
		got, parsed, err := route.lead(candidate)
		if err != nil || got != want || !strings.Contains(want, parsed.Address()) {
			t.Errorf("%s became %s (%v), %v", candidate, got, parsed, err)
		}
	}
	if _, _, err := route.lead("candidate:nonsense"); err == nil {
		t.Error("no error")
	}
}

func TestSameMachine(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1": true, "::1": true, "192.0.2.1": false} {
		if got := SameMachine(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestUnaskedChecksWaitAsAtANAT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		offered, _ := ice.UnmarshalCandidate("1 1 udp 1 198.18.0.1 7882 typ host")
		transport := &Transport{route: Route{Unasked: time.Second}, remote: []ice.Candidate{offered}}
		told, mapped, untold := net.ParseIP("198.18.0.1").To4(), net.ParseIP("198.18.0.1"), net.ParseIP("198.18.0.2")
		time.Sleep(time.Minute) // the time counts from the first check
		for range 2 {
			if !transport.letsIn(told) || !transport.letsIn(mapped) || transport.letsIn(untold) {
				t.Errorf("told: %v, %v, untold: %v", transport.letsIn(told), transport.letsIn(mapped), transport.letsIn(untold))
			}
			time.Sleep(time.Second / 2)
		}
		if !transport.letsIn(untold) {
			t.Error("a second later the address that was not told is still turned away")
		}
		if !(&Transport{}).letsIn(untold) {
			t.Error("it is turned away although the probe does not want that")
		}
	})
}

func TestServerIsToldWhereThePublisherIsOnlyWhereItDoesNotAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		reached bool
		told    int
	}{
		"it answers":                   {true, 0},
		"it has to send by itself, so": {false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			told := 0
			transport := &Transport{
				route: Route{Untold: time.Second}, reached: newLatch(),
				untold: []*webrtc.ICECandidate{{}}, tell: func(*webrtc.ICECandidate) { told++ },
			}
			if c.reached {
				transport.reached.set()
			}
			transport.tellAll()
			if told != c.told || transport.ServerSentFirst() == c.reached {
				t.Errorf("told %d times, the server first: %v", told, transport.ServerSentFirst())
			}
			if !transport.telling {
				t.Error("what is found from now on is kept")
			}
		})
	}
}
