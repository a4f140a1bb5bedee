package enginetest

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/livekit/protocol/livekit"
)

// Candidate is as pion writes it.
func Candidate(address string) string {
	return "candidate:233762139 1 udp 2130706431 " + address + " 7882 typ host ufrag abc"
}

// Trickle tells a client of media's candidate at an address.
func Trickle(target livekit.SignalTarget, address string, final bool) *livekit.SignalResponse {
	text := fmt.Sprintf(`{"candidate":%q,"sdpMid":"","sdpMLineIndex":0,"usernameFragment":null}`, Candidate(address))
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_Trickle{
		Trickle: &livekit.TrickleRequest{CandidateInit: text, Target: target, Final: final},
	}}
}

// ParseAddresses takes addresses with spaces between them.
func ParseAddresses(text string) []netip.Addr {
	var addresses []netip.Addr
	for _, each := range strings.Fields(text) {
		addresses = append(addresses, netip.MustParseAddr(each))
	}
	return addresses
}

// ParsePrefixes takes the prefixes of each interface, with spaces between them.
func ParsePrefixes(texts ...string) [][]netip.Prefix {
	all := make([][]netip.Prefix, len(texts))
	for i, text := range texts {
		for _, each := range strings.Fields(text) {
			all[i] = append(all[i], netip.MustParsePrefix(each))
		}
	}
	return all
}
