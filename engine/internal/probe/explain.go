package probe

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/message"
	"lkhub/engine/internal/participant"
)

const (
	// maxQuoted limits how much of a server's text is repeated: a proxy's error page has kilobytes.
	maxQuoted = 200
	// maxListed limits a list of candidates: a machine with containers has dozens.
	maxListed = 3
)

var looksLikeToken = regexp.MustCompile(`eyJ[\w-]*\.[\w-]+\.?[\w-]*`)

// redact makes a server's text safe to show: without tokens (LiveKit 1.13.5 repeats the whole token), on one line, and
// short.
func redact(text string, tokens []string) string {
	for _, token := range tokens {
		text = strings.ReplaceAll(text, token, "(token)")
	}
	return message.Quote(looksLikeToken.ReplaceAllString(text, "(token)"), maxQuoted)
}

// explainPaths says why a transport has not connected, by how far it came.
func explainPaths(r route, t *participant.Transport, turn *turnAccess) *fault {
	paths := t.Paths()
	local, remote := localEnds(paths), remoteEnds(paths.Remote)
	unreached, waiting := turn.faults()
	f := func(stage Stage, reason Reason, format string, args ...any) *fault {
		return failed(stage, reason, format, args...).with("local", list(local)).with("remote", list(remote))
	}
	switch {
	case len(local) == 0 && unreached != nil:
		return unreached
	case len(local) == 0 && r.RelayOnly && closed(t.Gathered()):
		return f(StageGather, turnRefusal(paths), "the TURN server gave no relay address%s", because(paths.Errors)).
			with("relay", list(turn.servers()))
	case !closed(t.Described()):
		return f(StageJoin, NoDescription, "the server sent no session description for the %s", side(t))
	case len(remote) == 0 && onlyLoopback(r, paths.Left):
		left := list(remoteEnds(paths.Left))
		return f(StageConnect, LoopbackTold, "the server offers its own loopback address alone (%s), which means nothing on this machine",
			left).with("remote", left)
	case len(remote) == 0 && len(paths.Left) == 0:
		return f(StageJoin, NoCandidate, "the server offered no candidate at all to the %s", side(t))
	case len(remote) == 0:
		return f(StageJoin, NotOffered, "%s (but %s)", r.missing, list(remoteEnds(paths.Left))).asUntried(true)
	case len(local) == 0 && waiting != nil:
		return waiting
	case len(local) == 0 && r.RelayOnly:
		return f(StageGather, TURNSilent, "no answer from the TURN server %s", list(turn.urls)).with("relay", list(turn.urls))
	case len(local) == 0:
		return f(StageGather, NoOwnAddress, "this machine has no network address to reach %s from%s", list(remote), because(paths.Errors))
	case !closed(t.Reached()) && r.RelayOnly && paths.Refusal == stun.CodeForbidden:
		return f(StageConnect, TURNForbids, "the TURN server gave a relay address, and refuses to send to %s: %s",
			list(remote), strings.Join(paths.Errors, "; ")).with("relay", list(turn.servers()))
	case !closed(t.Reached()):
		return f(StageConnect, NoReply, "no candidate pair answered: sent checks from %s to %s without a reply%s",
			list(local), list(remote), because(paths.Errors))
	default:
		return f(StageDTLS, DTLSUnfinished, "ICE connected the %s, but its DTLS handshake did not finish", side(t))
	}
}

// turnRefusal tells a TURN server that refuses from one that does not answer.
func turnRefusal(paths participant.Paths) Reason {
	switch {
	case paths.Refusal == stun.CodeBadRequest || paths.Refusal == stun.CodeUnauthorized:
		return TURNLogin
	case paths.Refusal != 0:
		return TURNRefused
	case slices.ContainsFunc(paths.Errors, func(text string) bool { return strings.Contains(text, "all retransmissions") }):
		return TURNSilent // pion/turn, internal/client/transaction.go
	default:
		return TURNRefused
	}
}

// explainUntold says where media came from, if the server does not tell clients that address. Then the server sent
// checks to this machine by itself, and nothing dropped them. The told addresses were tried first
// (participant.Route.Unasked). Another port of a told address proves nothing, since the probe does not wait for it.
func explainUntold(used *webrtc.ICECandidate, paths participant.Paths) (detail, untold string) {
	address, err := netip.ParseAddr(used.Address)
	if err != nil || paths.Offers(address) {
		return "", ""
	}
	untold = endText(used.Protocol.String(), used.Address, int(used.Port))
	return fmt.Sprintf("; media came from %s, which clients are not told, and nothing answered at %s, which they are: "+
		"behind a NAT none would have come", untold, list(remoteEnds(paths.Remote))), untold
}

// explainOpened says that only the server's own packets opened a firewall between this machine and the told addresses.
func explainOpened(t *participant.Transport) *fault {
	pair, _ := t.Pair()
	if pair == nil || !t.ServerSentFirst() {
		return nil
	}
	address, err := netip.ParseAddr(pair.Remote.Address)
	if err != nil || !t.Paths().Offers(address) {
		return nil // explainUntold says more
	}
	end := endText(pair.Remote.Protocol.String(), pair.Remote.Address, int(pair.Remote.Port))
	return failed(StageConnect, ServerFirst, "nothing came back from %s before the server itself had sent to this machine: "+
		"what clients send first is dropped, and behind a NAT they can only send first", end).with("remote", end)
}

// side names a transport by what it carries.
func side(t *participant.Transport) string { return strings.ToLower(t.Target.String()) }

func onlyLoopback(r route, left []ice.Candidate) bool {
	r.Loopback = true
	for _, candidate := range left {
		if r.Allows(candidate) {
			return true
		}
	}
	return false
}

func localEnds(paths participant.Paths) []string {
	var ends []string
	for _, candidate := range paths.Local {
		ends = append(ends, endText(candidate.Protocol.String(), candidate.Address, int(candidate.Port)))
	}
	return ends
}

func remoteEnds(candidates []ice.Candidate) []string {
	var ends []string
	for _, candidate := range candidates {
		ends = append(ends, endText(candidate.NetworkType().NetworkShort(), candidate.Address(), candidate.Port()))
	}
	return ends
}

func endText(protocol, address string, port int) string {
	return protocol + " " + net.JoinHostPort(address, strconv.Itoa(port))
}

func list(items []string) string {
	if more := len(items) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(items[:maxListed], ", "), more)
	}
	return strings.Join(items, ", ")
}

func because(reasons []string) string {
	if len(reasons) == 0 {
		return ""
	}
	return ": " + strings.Join(reasons, "; ")
}

func closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
