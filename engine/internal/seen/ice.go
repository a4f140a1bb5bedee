package seen

import (
	"net/netip"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/icechecks"
)

// looks are the times after an ICE check at which its pair is examined. The first packet that is not a check comes one
// round trip after the check that nominates the pair. The early time is for readers of the status right after a short
// call, the late one for slow networks. The counts of a pair remain after its call has ended.
var looks = []time.Duration{200 * time.Millisecond, 2 * time.Second}

// WatchICE records which clients use the paths udp and tcp in calls that are made with these settings. A check alone
// proves nothing, since clients check every possible pair. So each check is only the occasion to see whether the pair
// carries packets. Clients send one every few seconds during a call.
func WatchICE(settings *webrtc.SettingEngine, seen *Record, first *icechecks.Record) {
	settings.SetICEBindingRequestHandler(func(_ *stun.Message, local, remote ice.Candidate, pair *ice.CandidatePair) bool {
		// A relay candidate is the address of another relay, not the client's own.
		address, err := netip.ParseAddr(remote.Address())
		if err == nil && remote.Type() != ice.CandidateTypeRelay {
			client := netip.AddrPortFrom(address, uint16(remote.Port()))
			path := local.NetworkType().NetworkShort()
			for _, after := range looks {
				time.AfterFunc(after, func() { noteUse(seen, first, path, client, pair) })
			}
		}
		return false // which pair is selected is not decided here
	})
}

// noteUse records a pair that carries packets. Over TCP the client always opens the connection, which proves that
// clients get in. Over UDP both ends send checks, and a check from media may open a firewall for the client that it
// goes to. So a client proves something only if its check came first.
func noteUse(seen *Record, first *icechecks.Record, path string, client netip.AddrPort, pair *ice.CandidatePair) {
	at := pair.LastPacketReceivedAt()
	if at.IsZero() {
		return
	}
	// pion counts from the clock at the process's start, and the clock may have been corrected since.
	used := time.Now().Add(-time.Since(at))
	if path == "tcp" || first.CameFirst(client) {
		seen.Note(path, client.Addr(), used)
	} else {
		seen.noteUnproven(path, client.Addr(), used)
	}
}
