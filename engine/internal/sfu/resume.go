package sfu

import (
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"slices"

	"github.com/livekit/livekit-server/pkg/rtc/types"
	"github.com/livekit/protocol/livekit"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/process"
)

// relayPlace is where a relay sends from, as in relay.json.
type relayPlace struct {
	Address netip.Addr `json:"relay_address"`
	Ports   struct {
		Min uint16 `json:"min"`
		Max uint16 `json:"max"`
	} `json:"relay_ports"`
}

// Controls are media's own requests. POST /resume with a relayPlace makes the clients of a restarted relay connect
// again. POST /participants says which of the named participants are in.
func (s *Server) Controls() map[string]process.Control {
	return map[string]process.Control{"/resume": s.answerResume, "/participants": s.roster.Answer}
}

// answerResume answers how many participants were told.
func (s *Server) answerResume(_ context.Context, body io.Reader) (any, error) {
	var by relayPlace
	if err := json.NewDecoder(body).Decode(&by); err != nil {
		return nil, failure.Config("the relay's place: %v", err)
	}
	return map[string]int{"participants": s.resume(by)}, nil
}

// resume ends signalling with the reason that upstream gives when a transport has failed (participant.go,
// onAnyTransportFailed). Clients then open signalling again and restart ICE, without leaving the room.
func (s *Server) resume(by relayPlace) int {
	told := 0
	for _, room := range s.listRooms() {
		for _, participant := range room.GetParticipants() {
			if slices.ContainsFunc(participant.GetICEConnectionInfo(), by.isSelected) {
				participant.CloseSignalConnection(types.SignallingCloseReasonTransportFailure)
				told++
			}
		}
	}
	return told
}

// resumeStalled makes one participant resume, as resume does. It returns false while the transport is not connected,
// because upstream would end a session whose signalling ends then (participant.go, HandleSignalSourceClose).
func (s *Server) resumeStalled(name livekit.RoomName, identity livekit.ParticipantIdentity) bool {
	room := s.server.RoomManager().GetRoom(context.Background(), name)
	if room == nil {
		return false
	}
	participant := room.GetParticipant(identity)
	if participant == nil || !participant.HasConnected() {
		return false
	}
	participant.CloseSignalConnection(types.SignallingCloseReasonTransportFailure)
	return true
}

// isSelected compares the address of the client's candidate. Upstream's Type can't be used: checks may arrive before
// the client has told its candidates.
func (p relayPlace) isSelected(info *types.ICEConnectionInfo) bool {
	last := &types.ICECandidateExtended{}
	for _, remote := range info.Remote {
		if remote.SelectedOrder > last.SelectedOrder {
			last = remote
		}
	}
	if last.Candidate == nil {
		return false
	}
	address, err := netip.ParseAddr(last.Candidate.Address)
	return err == nil && address.Unmap() == p.Address && p.Ports.Min <= last.Candidate.Port && last.Candidate.Port <= p.Ports.Max
}
