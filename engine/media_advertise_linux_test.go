package main

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/participant"
)

// Clients are told exactly the advertised addresses, of both families, over UDP and TCP.
func TestMediaTellsTheAdvertisedAddresses(t *testing.T) {
	if !enginetest.WithAddresses(t, "10.77.0.5/32", "10.77.0.6/32", "fd77::5/128", "fd77::6/128") {
		return
	}
	udp, tcp := enginetest.FreePort(t), enginetest.FreePort(t)
	var want []string
	for _, address := range []string{"127.0.0.1", "203.0.113.5", "10.77.0.5", "[2001:db8::5]"} {
		want = append(want, "udp "+address+":"+udp, "tcp "+address+":"+tcp)
	}
	slices.Sort(want)
	server := startSFU(t, udp, tcp, "", "127.0.0.1=127.0.0.1", "10.77.0.5=203.0.113.5", "10.77.0.5=10.77.0.5", "fd77::5=2001:db8::5")
	ports := map[string][]string{}
	for side, got := range offeredCandidates(t, joinAlone(t, server)) {
		if !slices.Equal(got, want) {
			t.Errorf("the %s is offered %q, want %q", side, got, want)
		}
		ports[side] = got
	}
	if len(ports) != 2 {
		t.Errorf("%v", ports)
	}
}

// Without a single port, each call has its own sockets.
func TestMediaTellsTheAdvertisedAddressesOfAPortRange(t *testing.T) {
	if !enginetest.WithAddresses(t, "10.77.0.5/32", "10.77.0.6/32") {
		return
	}
	server := startSFU(t, "0\n  port_range_start: 50000\n  port_range_end: 50100", "0", "", "10.77.0.5=203.0.113.5")
	for side, got := range offeredCandidates(t, joinAlone(t, server)) {
		if len(got) != 1 || got[0] < "udp 203.0.113.5:50000" || got[0] > "udp 203.0.113.5:50100" {
			t.Errorf("the %s is offered %q", side, got)
		}
	}
}

func joinAlone(t *testing.T, server calltest.Server) *participant.Participant {
	t.Helper()
	p, err := participant.Join(t.Context(), participant.Config{URL: server.URL, Token: calltest.Token(t, calltest.Secret, t.Name(), "a")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// offeredCandidates returns what the server offers to each side of a participant, sorted.
func offeredCandidates(t *testing.T, p *participant.Participant) map[string][]string {
	t.Helper()
	codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	track, err := webrtc.NewTrackLocalStaticRTP(codec, "probe", "probe")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(participant.Publication{Track: track, Request: &livekit.AddTrackRequest{Type: livekit.TrackType_AUDIO}}); err != nil {
		t.Fatal(err)
	}
	offered := map[string][]string{}
	for _, transport := range []*participant.Transport{p.Publisher, p.Subscriber} {
		select {
		case <-transport.Offered():
		case <-time.After(enginetest.Patience):
			t.Fatalf("no end of candidates for the %s", transport.Target)
		}
		var texts []string
		for _, candidate := range transport.Paths().Left {
			if candidate.Type() != ice.CandidateTypeHost {
				t.Errorf("%s", candidate)
			}
			texts = append(texts, fmt.Sprintf("%s %s", candidate.NetworkType().NetworkShort(), net.JoinHostPort(candidate.Address(), strconv.Itoa(candidate.Port()))))
		}
		slices.Sort(texts)
		offered[transport.Target.String()] = texts
	}
	return offered
}
