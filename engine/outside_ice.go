package main

import (
	"net/netip"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v4"
)

// looks are when a pair is looked at after a check of it. The first packet that is no check comes a round trip after the
// one that nominates the pair: soon, for who asks right after a short call, and once more for slow networks. What a call
// has left in its pair outlasts it.
var looks = []time.Duration{200 * time.Millisecond, 2 * time.Second}

// watchICE notes who uses the paths udp and tcp in calls that are made with these settings. Checks prove nothing, since
// clients check every way that there may be. So each of them, and clients send one every few seconds for as long as a
// call lasts, is only the occasion to look whether the pair carries something.
func watchICE(settings *webrtc.SettingEngine, seen *sightings) {
	settings.SetICEBindingRequestHandler(func(_ *stun.Message, local, remote ice.Candidate, pair *ice.CandidatePair) bool {
		// What comes by a relay of others: its address is no client's.
		address, err := netip.ParseAddr(remote.Address())
		if err == nil && remote.Type() != ice.CandidateTypeRelay {
			path := local.NetworkType().NetworkShort()
			for _, after := range looks {
				time.AfterFunc(after, func() { noteUse(seen, path, address, pair) })
			}
		}
		return false // which pair is selected is not ours to say
	})
}

func noteUse(seen *sightings, path string, client netip.Addr, pair *ice.CandidatePair) {
	if at := pair.LastPacketReceivedAt(); !at.IsZero() {
		// pion's clock is the one of the process's start, which may have been set right since.
		seen.note(path, client, time.Now().Add(-time.Since(at)))
	}
}
