package lans

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"
)

// Hidden are addresses that a client is not told.
type Hidden []netip.Addr

func (h Hidden) has(text string) bool {
	address, err := netip.ParseAddr(text)
	return err == nil && slices.Contains(h, address)
}

// inCandidate takes a candidate as it is in SDP (RFC 8839, section 5.1), with or without its "a=".
func (h Hidden) inCandidate(text string) bool {
	fields := strings.Fields(text)
	return len(fields) > 4 && strings.HasPrefix(strings.TrimPrefix(fields[0], "a="), "candidate:") && h.has(fields[4])
}

// inURL takes a URL of a STUN or TURN server.
func (h Hidden) inURL(text string) bool {
	uri, err := stun.ParseURI(text)
	return err == nil && h.has(uri.Host)
}

// NarrowSDP returns a description without the hidden candidates. If none would be left, it returns the description
// unchanged. Upstream puts candidates into each description after the first.
func (h Hidden) NarrowSDP(sdp string) string {
	isCandidate := func(line string) bool { return strings.HasPrefix(line, "a=candidate:") }
	lines := slices.DeleteFunc(strings.SplitAfter(sdp, "\n"), h.inCandidate)
	if !slices.ContainsFunc(lines, isCandidate) {
		return sdp
	}
	return strings.Join(lines, "")
}

// NarrowServers returns ICE servers without the hidden URLs, or the servers unchanged if no URL would be left.
func (h Hidden) NarrowServers(all []*livekit.ICEServer) []*livekit.ICEServer {
	var left []*livekit.ICEServer
	for _, server := range all {
		urls := slices.DeleteFunc(slices.Clone(server.Urls), h.inURL)
		if len(urls) > 0 {
			left = append(left, &livekit.ICEServer{Urls: urls, Username: server.Username, Credential: server.Credential})
		}
	}
	if len(left) == 0 {
		return all
	}
	return left
}

// Filter changes the messages of one connection to its client.
type Filter struct {
	hidden   Hidden
	gathered map[livekit.SignalTarget][]*livekit.SignalResponse // candidates of a gathering, until its last one is there
}

// NewFilter makes the filter of one connection.
func NewFilter(h Hidden) *Filter {
	return &Filter{h, map[livekit.SignalTarget][]*livekit.SignalResponse{}}
}

// Pass returns what the client gets instead of a message from upstream. It copies messages before it changes them.
func (f *Filter) Pass(message proto.Message) []proto.Message {
	response, ok := message.(*livekit.SignalResponse)
	if !ok {
		return []proto.Message{message}
	}
	switch response.Message.(type) {
	case *livekit.SignalResponse_Trickle:
		return f.trickle(response)
	case *livekit.SignalResponse_Join, *livekit.SignalResponse_Reconnect, *livekit.SignalResponse_Offer, *livekit.SignalResponse_Answer:
		response = proto.Clone(response).(*livekit.SignalResponse)
	}
	switch m := response.Message.(type) {
	case *livekit.SignalResponse_Join:
		m.Join.IceServers = f.hidden.NarrowServers(m.Join.IceServers)
	case *livekit.SignalResponse_Reconnect:
		m.Reconnect.IceServers = f.hidden.NarrowServers(m.Reconnect.IceServers)
	case *livekit.SignalResponse_Offer:
		m.Offer.Sdp = f.hidden.NarrowSDP(m.Offer.Sdp)
	case *livekit.SignalResponse_Answer:
		m.Answer.Sdp = f.hidden.NarrowSDP(m.Answer.Sdp)
	}
	return []proto.Message{response}
}

// trickle keeps candidates until the last one of a gathering, which is marked as the last. If that one is hidden,
// another must have the mark. They come within milliseconds, since media gathers on this machine alone, and upstream
// starts no gathering before the previous one has ended.
func (f *Filter) trickle(response *livekit.SignalResponse) []proto.Message {
	target := response.GetTrickle().Target
	f.gathered[target] = append(f.gathered[target], response)
	if !response.GetTrickle().Final {
		return nil
	}
	gathered := f.gathered[target]
	delete(f.gathered, target)
	left := slices.DeleteFunc(slices.Clone(gathered), f.hides)
	if len(left) == 0 {
		left = gathered
	}
	var messages []proto.Message
	for _, candidate := range left[:len(left)-1] {
		messages = append(messages, candidate)
	}
	last := proto.Clone(left[len(left)-1]).(*livekit.SignalResponse)
	last.GetTrickle().Final = true
	return append(messages, last)
}

func (f *Filter) hides(response *livekit.SignalResponse) bool {
	var candidate webrtc.ICECandidateInit
	err := json.Unmarshal([]byte(response.GetTrickle().CandidateInit), &candidate)
	return err == nil && f.hidden.inCandidate(candidate.Candidate)
}
