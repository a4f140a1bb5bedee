package relay

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/roster"
	"lkhub/engine/internal/turntest"
)

// mediaTest is the control socket of a media process, with a roster that the test fills.
type mediaTest struct {
	*testing.T
	socket string
	roster *roster.Roster
	server *http.Server
	asked  atomic.Int32
}

func newMedia(t *testing.T) *mediaTest {
	t.Helper()
	m := &mediaTest{T: t, socket: filepath.Join(t.TempDir(), "media.sock"), roster: roster.New()}
	m.start()
	t.Cleanup(m.stop)
	return m
}

// start serves a roster. Starting again with another roster stands for a new process.
func (m *mediaTest) start() {
	m.Helper()
	t := m.T
	listener, err := net.Listen("unix", m.socket)
	if err != nil {
		m.Fatal(err)
	}
	kept := m.roster
	m.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		answer, err := kept.Answer(request.Context(), request.Body)
		if err != nil {
			t.Error(err)
		}
		_ = json.NewEncoder(w).Encode(answer)
		m.asked.Add(1)
	})}
	server := m.server
	go func() { _ = server.Serve(listener) }()
}

func (m *mediaTest) stop() { _ = m.server.Close() }

// waitAsked returns after this many more requests of the relay. By then it has judged all answers but the last.
func (m *mediaTest) waitAsked(more int32) {
	m.Helper()
	want := m.asked.Load() + more
	enginetest.Eventually(m.T, "the relay asks", func() bool { return m.asked.Load() >= want })
}

// startAskingRelay makes a relay that asks m; skew is how far ahead the relay's clock is.
func startAskingRelay(t *testing.T, m *mediaTest) (r *Server, skew *atomic.Int64) {
	t.Helper()
	skew = &atomic.Int64{}
	r, _ = startRelay(t, turntest.ListenUDP(t).LocalAddr(), 24, func(r *Server) {
		r.config.MediaControl = []string{m.socket}
		r.bounds.clock = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
	})
	return r, skew
}

func TestAllocationsEndSoonAfterTheirParticipant(t *testing.T) {
	overEveryTransport(t, func(t *testing.T, dial dialer) {
		m := newMedia(t)
		r, _ := startAskingRelay(t, m)
		stays, leaves := turntest.CredentialFor("PA_stays", time.Hour), turntest.CredentialFor("PA_leaves", time.Hour)
		m.roster.Join("PA_stays", "one", "RM_one")
		m.roster.Join("PA_leaves", "two", "RM_one")
		staying := newRawClient(t, r, dial)
		for _, c := range []struct {
			client     *turntest.Client
			credential turntest.Credential
		}{{staying, stays}, {newRawClient(t, r, dial), leaves}, {newRawClient(t, r, dial), leaves}} {
			if code := c.client.Allocate(c.credential); code != 0 {
				t.Fatalf("Allocate: %d", code)
			}
		}
		m.waitAsked(2)
		if n := r.Allocations(); n != 3 {
			t.Fatalf("%d allocations while all participants are connected", n)
		}
		m.roster.Leave("PA_leaves")
		enginetest.Eventually(t, "the end of what it held", func() bool { return r.Allocations() == 1 })
		if code := newRawClient(t, r, dial).Allocate(leaves); code != stun.CodeAllocQuotaReached {
			t.Errorf("Allocate of a participant that has left: %d", code)
		}
		if code := staying.Ask(stun.MethodRefresh, stays); code != 0 {
			t.Errorf("Refresh of a participant that is in: %d", code)
		}
	})
}

// Each join has its own SID, and LiveKit ends the session before it.
func TestAJoinLinkHoldsNoMoreThanItsLastJoins(t *testing.T) {
	m := newMedia(t)
	r, _ := startAskingRelay(t, m)
	for _, participant := range []string{"PA_1", "PA_2", "PA_3", "PA_4"} {
		m.roster.Join(participant, "one", "RM_one")
		for range 5 {
			if code := newRawClient(t, r, dialUDP).Allocate(turntest.CredentialFor(participant, time.Hour)); code != 0 {
				t.Fatalf("Allocate: %d", code)
			}
		}
		if participant != "PA_4" {
			m.roster.Leave(participant) // before the relay has asked
		}
	}
	enginetest.Eventually(t, "what is left is the last one's", func() bool { return r.Allocations() == 5 })
}

func TestAnExpiredCredentialIsGoodForParticipantsThatAreIn(t *testing.T) {
	overEveryTransport(t, func(t *testing.T, dial dialer) {
		m := newMedia(t)
		r, _ := startAskingRelay(t, m)
		valid, expired := turntest.CredentialFor("PA_one", time.Hour), turntest.CredentialFor("PA_one", -time.Hour)
		if code := newRawClient(t, r, dial).Allocate(expired); code == 0 {
			t.Fatal("Allocate of an unknown participant, with an expired credential, succeeded")
		}
		m.roster.Join("PA_one", "one", "RM_one")
		client := newRawClient(t, r, dial)
		if code := client.Allocate(valid); code != 0 {
			t.Fatalf("Allocate: %d", code)
		}
		m.waitAsked(2)
		at := turntest.PeerAddress{IP: r.config.Peers[0].Address.AsSlice(), Port: int(r.config.Peers[0].Min)}
		for _, c := range []struct {
			method     stun.Method
			attributes []stun.Setter
		}{
			{stun.MethodRefresh, nil},
			{stun.MethodCreatePermission, []stun.Setter{at}},
			{stun.MethodChannelBind, []stun.Setter{turntest.FirstChannel, at}},
		} {
			if code := client.Ask(c.method, expired, c.attributes...); code != 0 {
				t.Errorf("%s with an expired credential: %d", c.method, code)
			}
		}
		// The participant changes its network, hours after it joined.
		if code := newRawClient(t, r, dial).Allocate(expired); code != 0 {
			t.Errorf("Allocate of a participant that is in, with an expired credential: %d", code)
		}
	})
}

// A livekit-server of the operator's own doesn't say which participants are connected. Then the relay keeps an
// allocation while it carries a call.
func TestAnExpiredCredentialIsGoodForACallThatGoesOn(t *testing.T) {
	overEveryTransport(t, func(t *testing.T, dial dialer) {
		peer := turntest.ListenUDP(t)
		var skew atomic.Int64
		r, _ := startRelay(t, peer.LocalAddr(), 24, func(r *Server) {
			r.bounds.clock = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
		})
		valid, expired := turntest.CredentialFor("PA_one", time.Hour), turntest.CredentialFor("PA_one", -time.Hour)
		_, relayed := newTURNClient(t, r, dial)
		send(t, relayed, peer.LocalAddr(), dtls)
		receive(t, peer, dtls)
		if !r.bounds.outlives("PA_one", false) {
			t.Error("a call was to end with its credential")
		}
		idle := newRawClient(t, r, dial)
		if code := idle.Allocate(turntest.CredentialFor("PA_idle", time.Hour)); code != 0 {
			t.Fatalf("Allocate: %d", code)
		}
		if code := idle.Ask(stun.MethodRefresh, turntest.CredentialFor("PA_idle", -time.Hour)); code == 0 {
			t.Error("Refresh with an expired credential, of an allocation that carries nothing, succeeded")
		}
		if code := newRawClient(t, r, dial).Allocate(expired); code == 0 {
			t.Error("Allocate with an expired credential succeeded")
		}
		skew.Store(int64(callOverAfter + time.Minute))
		if r.bounds.outlives("PA_one", false) {
			t.Error("a call that is over goes on with an expired credential")
		}
		if code := newRawClient(t, r, dial).Allocate(valid); code != 0 {
			t.Errorf("Allocate: %d", code)
		}
	})
}

func TestNoAllocationEndsWhileMediaCantBeAsked(t *testing.T) {
	m := newMedia(t)
	r, skew := startAskingRelay(t, m)
	m.roster.Join("PA_one", "one", "RM_one")
	client := newRawClient(t, r, dialUDP)
	if code := client.Allocate(turntest.CredentialFor("PA_one", time.Hour)); code != 0 {
		t.Fatalf("Allocate: %d", code)
	}
	m.waitAsked(2)
	m.stop()
	skew.Store(int64(time.Hour))
	for range 3 {
		r.bounds.look(t.Context())
	}
	if code := client.Ask(stun.MethodRefresh, turntest.CredentialFor("PA_one", -time.Minute)); code != 0 || r.Allocations() != 1 {
		t.Errorf("with media away: Refresh %d, %d allocations", code, r.Allocations())
	}
	if code := newRawClient(t, r, dialUDP).Allocate(turntest.CredentialFor("PA_two", time.Hour)); code != 0 {
		t.Errorf("with media away: Allocate %d", code)
	}

	// Another process knows none of the participants. They have to join again; their allocations stay for a while.
	m.roster = roster.New()
	m.start()
	m.waitAsked(2)
	if n := r.Allocations(); n != 2 {
		t.Fatalf("%d allocations as soon as another media process answers", n)
	}
	m.roster.Join("PA_two", "two", "RM_one")
	m.waitAsked(2)
	skew.Store(int64(time.Hour + unknownFor))
	enginetest.Eventually(t, "the end of allocations without a participant", func() bool { return r.Allocations() == 1 })
	if !r.bounds.outlives("PA_two", true) {
		t.Error("the participant that has joined meanwhile is not in")
	}
}

func TestARelayWithoutClientsDoesNotAskMedia(t *testing.T) {
	m := newMedia(t)
	r, _ := startAskingRelay(t, m)
	client, credential := newRawClient(t, r, dialUDP), turntest.CredentialFor("PA_one", time.Hour)
	m.roster.Join("PA_one", "one", "RM_one")
	if code := client.Allocate(credential); code != 0 {
		t.Fatalf("Allocate: %d", code)
	}
	m.waitAsked(1)
	if code := client.Deallocate(credential); code != 0 {
		t.Fatalf("deallocation: %d", code)
	}
	r.bounds.look(t.Context())
	if asked, all := m.asked.Load(), r.bounds.isHeld(); all || asked > 3 {
		t.Errorf("asked %d times, held: %v", asked, all)
	}
}
