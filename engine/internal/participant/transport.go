package participant

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/ice/v4"
	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v4"
)

// Transport is one of a participant's two PeerConnections, and what is known of its path to the server.
type Transport struct {
	Target livekit.SignalTarget

	pc    *webrtc.PeerConnection
	route Route
	diary *diary

	described, offered, gathered, reached, connected, failed latch
	waiting                                                  sync.Once // to tell the server this side's addresses

	mu     sync.Mutex
	early  []webrtc.ICECandidateInit // arrived before their description
	local  []*webrtc.ICECandidate
	remote []ice.Candidate
	left   []ice.Candidate // offered by the server, but not allowed by the route
	turned time.Time       // when a check from an address that was not offered was first rejected

	tell      func(*webrtc.ICECandidate)
	untold    []*webrtc.ICECandidate // not told to the server yet
	telling   bool
	toldFirst bool // the server was told this side's addresses before ICE had connected
}

// newTransport makes a PeerConnection that sends its candidates to trickle.
func newTransport(
	target livekit.SignalTarget, config Config, servers []webrtc.ICEServer, trickle func(*webrtc.ICECandidate),
) (*Transport, error) {
	t := &Transport{
		Target: target, route: config.Route, diary: &diary{},
		described: newLatch(), offered: newLatch(), gathered: newLatch(),
		reached: newLatch(), connected: newLatch(), failed: newLatch(),
		tell: trickle, telling: target != livekit.SignalTarget_PUBLISHER || config.Route.Untold == 0,
	}
	api, err := newAPI(config, t.diary, t.letsIn)
	if err != nil {
		return nil, err
	}
	t.pc, err = api.NewPeerConnection(webrtc.Configuration{ICEServers: servers, ICETransportPolicy: config.Route.policy()})
	if err != nil {
		return nil, fmt.Errorf("open a PeerConnection: %w", err)
	}
	t.pc.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		if candidate == nil {
			t.gathered.set()
			return
		}
		t.mu.Lock()
		t.local = append(t.local, candidate)
		telling := t.telling
		if !telling {
			t.untold = append(t.untold, candidate)
		}
		t.mu.Unlock()
		if telling {
			t.tell(candidate)
		}
	})
	t.pc.OnICEConnectionStateChange(func(state webrtc.ICEConnectionState) {
		if state == webrtc.ICEConnectionStateConnected {
			t.reached.set()
		}
	})
	t.pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			t.connected.set()
		case webrtc.PeerConnectionStateFailed:
			t.failed.set()
		}
	})
	return t, nil
}

// Described is closed when the server has sent its session description.
func (t *Transport) Described() <-chan struct{} { return t.described.done }

// Offered is closed when the server has sent its last candidate. A server without candidates never reports the last
// one.
func (t *Transport) Offered() <-chan struct{} { return t.offered.done }

// Gathered is closed when this side has found its last candidate.
func (t *Transport) Gathered() <-chan struct{} { return t.gathered.done }

// Reached is closed when ICE has connected.
func (t *Transport) Reached() <-chan struct{} { return t.reached.done }

// Connected is closed when ICE and DTLS have connected.
func (t *Transport) Connected() <-chan struct{} { return t.connected.done }

// Failed is closed when ICE or DTLS has given up.
func (t *Transport) Failed() <-chan struct{} { return t.failed.done }

// Paths has the candidates of both ends of a connection.
type Paths struct {
	Local  []*webrtc.ICECandidate
	Remote []ice.Candidate // that were tried
	Left   []ice.Candidate // offered by the server, and not allowed by the route
	Errors []string        // errors of the ICE agent

	Refusal stun.ErrorCode // the first refusal of a TURN server; 0: none
}

// Paths returns the candidates so far. It also works after a failure, when pion has forgotten them.
func (t *Transport) Paths() Paths {
	t.mu.Lock()
	defer t.mu.Unlock()
	met, refusal := t.diary.read()
	return Paths{slices.Clone(t.local), slices.Clone(t.remote), slices.Clone(t.left), met, refusal}
}

// Offers reports whether the server offered this address on this route, with any port.
func (p Paths) Offers(address netip.Addr) bool {
	return slices.ContainsFunc(p.Remote, func(candidate ice.Candidate) bool {
		offered, err := netip.ParseAddr(candidate.Address())
		return err == nil && offered.Unmap() == address.Unmap().WithZone("")
	})
}

// letsIn is called for every address that the server uses, offered or not, and again for one that was rejected.
func (t *Transport) letsIn(ip net.IP) bool {
	address, ok := netip.AddrFromSlice(ip)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !ok || (Paths{Remote: t.remote}).Offers(address) {
		return ok
	}
	if t.turned.IsZero() {
		t.turned = time.Now()
	}
	return time.Since(t.turned) >= t.route.Unasked
}

// tellAll tells the server this side's addresses, unless ICE has connected before.
func (t *Transport) tellAll() {
	t.mu.Lock()
	untold := t.untold
	t.untold, t.telling = nil, true
	select {
	case <-t.reached.done:
		untold = nil
	default:
		t.toldFirst = len(untold) > 0
	}
	t.mu.Unlock()
	for _, candidate := range untold {
		t.tell(candidate)
	}
}

// ServerSentFirst reports whether no check of this side was answered before the server was told this side's addresses.
func (t *Transport) ServerSentFirst() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.toldFirst
}

// Pair returns the candidates in use and the last measured round trip, which is 0 if none was measured yet. It returns
// nil before ICE has connected.
func (t *Transport) Pair() (*webrtc.ICECandidatePair, time.Duration) {
	transport := t.pc.SCTP().Transport().ICETransport()
	pair, err := transport.GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return nil, 0
	}
	stats, _ := transport.GetSelectedCandidatePairStats()
	return pair, time.Duration(stats.CurrentRoundTripTime * float64(time.Second))
}

// offer publishes nothing by itself: the tracks were added before.
func (t *Transport) offer() (webrtc.SessionDescription, error) {
	offer, err := t.pc.CreateOffer(nil)
	if err == nil {
		err = t.pc.SetLocalDescription(offer)
	}
	return offer, err
}

func (t *Transport) answer(offer webrtc.SessionDescription) (webrtc.SessionDescription, error) {
	if err := t.setRemote(offer); err != nil {
		return offer, err
	}
	answer, err := t.pc.CreateAnswer(nil)
	if err == nil {
		err = t.pc.SetLocalDescription(answer)
	}
	return answer, err
}

// setRemote applies the server's description. Its candidates are handled like trickled ones, so that the route holds
// for them too.
func (t *Transport) setRemote(description webrtc.SessionDescription) error {
	var candidates []webrtc.ICECandidateInit
	description.SDP, candidates = splitCandidates(description.SDP)
	if err := t.pc.SetRemoteDescription(description); err != nil {
		return err
	}
	t.mu.Lock()
	candidates = append(candidates, t.early...)
	t.early = nil
	t.mu.Unlock()
	for _, candidate := range candidates {
		if err := t.addRemote(candidate); err != nil {
			return err
		}
	}
	t.described.set()
	return nil
}

// trickle applies a candidate of the server.
func (t *Transport) trickle(candidate webrtc.ICECandidateInit, final bool) error {
	if final {
		defer t.offered.set()
	}
	if t.pc.RemoteDescription() == nil {
		t.mu.Lock()
		t.early = append(t.early, candidate)
		t.mu.Unlock()
		return nil
	}
	return t.addRemote(candidate)
}

func (t *Transport) addRemote(candidate webrtc.ICECandidateInit) error {
	if candidate.Candidate == "" { // end of candidates
		return nil
	}
	text, parsed, err := t.route.lead(candidate.Candidate)
	if err != nil {
		return err
	}
	candidate.Candidate = text
	allowed := t.route.Allows(parsed)
	t.mu.Lock()
	if allowed {
		t.remote = append(t.remote, parsed)
	} else {
		t.left = append(t.left, parsed)
	}
	t.mu.Unlock()
	if !allowed {
		return nil
	}
	t.waiting.Do(func() {
		if t.route.Untold > 0 {
			time.AfterFunc(t.route.Untold, t.tellAll)
		}
	})
	return t.pc.AddICECandidate(candidate)
}

func (t *Transport) close() { _ = t.pc.GracefulClose() }

// withoutWait presents every candidate as a host candidate. If the server makes the offer, it selects the pair, and
// waits for a better one: 2 s if it sees a relayed candidate, and 1 s if it sees a candidate that it wasn't told, which
// it takes active TCP candidates for. A route has no better one. The address stays true, and the type has no other use.
func withoutWait(candidate string) string {
	before, _, found := strings.Cut(candidate, " typ ")
	if !found {
		return candidate
	}
	return before + " typ host"
}

// splitCandidates removes the a=candidate lines from a session description. There is one bundle, so every candidate
// belongs to its first section.
func splitCandidates(description string) (string, []webrtc.ICECandidateInit) {
	var kept strings.Builder
	var candidates []webrtc.ICECandidateInit
	for line := range strings.Lines(description) {
		if value, ok := strings.CutPrefix(line, "a=candidate:"); ok {
			var first uint16
			candidates = append(candidates, webrtc.ICECandidateInit{
				Candidate: "candidate:" + strings.TrimSpace(value), SDPMLineIndex: &first,
			})
			continue
		}
		kept.WriteString(line)
	}
	return kept.String(), candidates
}

// latch is an event that happens once.
type latch struct {
	once *sync.Once
	done chan struct{}
}

func newLatch() latch { return latch{&sync.Once{}, make(chan struct{})} }

func (l latch) set() { l.once.Do(func() { close(l.done) }) }
