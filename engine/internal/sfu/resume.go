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

// Controls are what media answers besides: POST /resume with a relayPlace has the clients of a relay that has restarted
// connect again, POST /participants says which of these are in.
func (s *Server) Controls() map[string]process.Control {
	return map[string]process.Control{"/resume": s.answerResume, "/participants": s.roster.Answer}
}

// answerResume says how many participants were told.
func (s *Server) answerResume(ctx context.Context, body io.Reader) (any, error) {
	var by relayPlace
	if err := json.NewDecoder(body).Decode(&by); err != nil {
		return nil, failure.Config("the relay's place: %v", err)
	}
	participants, err := s.resume(ctx, by)
	return map[string]int{"participants": participants}, err
}

// resume ends signalling with the reason that upstream gives where a transport has failed (participant.go,
// onAnyTransportFailed): clients open it again and go through ICE anew, without leaving the room.
func (s *Server) resume(ctx context.Context, by relayPlace) (int, error) {
	rooms, err := s.listRooms(ctx)
	told := 0
	for _, room := range rooms {
		for _, participant := range room.GetParticipants() {
			if slices.ContainsFunc(participant.GetICEConnectionInfo(), by.isSelected) {
				participant.CloseSignalConnection(types.SignallingCloseReasonTransportFailure)
				told++
			}
		}
	}
	return told, err
}

// resumeStalled lets one participant resume, as resume does. Upstream ends a session whose signalling ends before its
// transport is connected (participant.go, HandleSignalSourceClose), so that has to be waited for.
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

// isSelected goes by the address of the client's candidate. Upstream's Type is not to be had from the checks that come
// before the client has told its candidates.
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
