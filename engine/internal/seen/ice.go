package seen

import (
	"net/netip"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/firsts"
)

// looks are when a pair is looked at after a check of it. The first packet that is no check comes a round trip after the
// one that nominates the pair: soon, for who asks right after a short call, and once more for slow networks. What a call
// has left in its pair outlasts it.
var looks = []time.Duration{200 * time.Millisecond, 2 * time.Second}

// WatchICE notes who uses the paths udp and tcp in calls that are made with these settings. Checks prove nothing, since
// clients check every way that there may be. So each of them, and clients send one every few seconds for as long as a
// call lasts, is only the occasion to look whether the pair carries something.
func WatchICE(settings *webrtc.SettingEngine, seen *Record, first *firsts.Record) {
	settings.SetICEBindingRequestHandler(func(_ *stun.Message, local, remote ice.Candidate, pair *ice.CandidatePair) bool {
		// What comes by a relay of others: its address is no client's.
		address, err := netip.ParseAddr(remote.Address())
		if err == nil && remote.Type() != ice.CandidateTypeRelay {
			client := netip.AddrPortFrom(address, uint16(remote.Port()))
			path := local.NetworkType().NetworkShort()
			for _, after := range looks {
				time.AfterFunc(after, func() { noteUse(seen, first, path, client, pair) })
			}
		}
		return false // which pair is selected is not ours to say
	})
}

// noteUse notes a pair that carries something. Over TCP the client always opens the connection, which proves the way in.
// Over UDP both ends send checks, and a check that media sends opens a firewall for the client that it goes to. So a
// client whose check came first proves the way in; for another one it may have been open for that reason alone.
func noteUse(seen *Record, first *firsts.Record, path string, client netip.AddrPort, pair *ice.CandidatePair) {
	at := pair.LastPacketReceivedAt()
	if at.IsZero() {
		return
	}
	// pion's clock is the one of the process's start, which may have been set right since.
	used := time.Now().Add(-time.Since(at))
	if path == "tcp" || first.CameFirst(client) {
		seen.Note(path, client.Addr(), used)
	} else {
		seen.noteUnproven(path, client.Addr(), used)
	}
}
