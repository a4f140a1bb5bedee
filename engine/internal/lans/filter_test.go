package lans

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/enginetest"
)

var farLAN = Hidden(enginetest.ParseAddresses("10.9.0.2 fd00:2::2"))

func TestWhatNamesAHiddenAddress(t *testing.T) {
	for text, want := range map[string]bool{
		enginetest.Candidate("10.9.0.2"):                             true,
		"a=" + enginetest.Candidate("10.9.0.2") + "\r\n":             true,
		enginetest.Candidate("fd00:2::2"):                            true,
		enginetest.Candidate("192.168.1.5"):                          false,
		enginetest.Candidate("hub.local"):                            false,
		"candidate:1 1 udp 1 192.168.1.5 9 typ srflx raddr 10.9.0.2": false,
		"c=IN IP4 0 0 10.9.0.2":                                      false,
		"candidate:":                                                 false,
		"":                                                           false,
	} {
		if got := farLAN.inCandidate(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	for url, want := range map[string]bool{
		"turn:10.9.0.2:3478?transport=udp":    true,
		"turns:10.9.0.2:443?transport=tcp":    true,
		"turns:[fd00:2::2]:443?transport=tcp": true,
		"stun:10.9.0.2:7882":                  true,
		"turn:10.9.0.2":                       true,
		"turn:192.168.1.5:3478?transport=udp": false,
		"turns:hub.example:443?transport=tcp": false,
		"turn:10.9.0.20:3478":                 false,
		"http://10.9.0.2/":                    false,
		"10.9.0.2":                            false,
	} {
		if got := farLAN.inURL(url); got != want {
			t.Errorf("%q: %v", url, got)
		}
	}
}

func TestServersOfOtherLANsAreLeftOut(t *testing.T) {
	servers := func(urls ...string) []*livekit.ICEServer {
		var all []*livekit.ICEServer
		for _, each := range urls {
			all = append(all, &livekit.ICEServer{Urls: strings.Fields(each), Username: "1:PA_x", Credential: "c"})
		}
		return all
	}
	given := servers("turn:192.168.1.5:3478?transport=udp", "turn:10.9.0.2:3478?transport=udp", "turns:hub:443 turns:10.9.0.2:443")
	want := servers("turn:192.168.1.5:3478?transport=udp", "turns:hub:443")
	filter := NewFilter(farLAN)
	for _, c := range []struct{ given, want *livekit.SignalResponse }{
		{
			&livekit.SignalResponse{Message: &livekit.SignalResponse_Join{Join: &livekit.JoinResponse{ServerVersion: "1", IceServers: given}}},
			&livekit.SignalResponse{Message: &livekit.SignalResponse_Join{Join: &livekit.JoinResponse{ServerVersion: "1", IceServers: want}}},
		}, {
			&livekit.SignalResponse{Message: &livekit.SignalResponse_Reconnect{Reconnect: &livekit.ReconnectResponse{LastMessageSeq: 1, IceServers: given}}},
			&livekit.SignalResponse{Message: &livekit.SignalResponse_Reconnect{Reconnect: &livekit.ReconnectResponse{LastMessageSeq: 1, IceServers: want}}},
		},
	} {
		before := proto.Clone(c.given)
		if got := filter.Pass(c.given); len(got) != 1 || !proto.Equal(got[0], c.want) {
			t.Errorf("%v", got)
		}
		if !proto.Equal(c.given, before) {
			t.Errorf("upstream's message was changed: %v", c.given)
		}
	}
	// Without any server some clients ask a third party's.
	if got := farLAN.NarrowServers(given[1:2]); !slices.Equal(got, given[1:2]) {
		t.Errorf("%v", got)
	}
}

func TestDescriptionsNameNoOtherLAN(t *testing.T) {
	const head, tail = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", "a=end-of-candidates\r\na=mid:0\r\n"
	near, far := "a="+enginetest.Candidate("192.168.1.5")+"\r\n", "a="+enginetest.Candidate("10.9.0.2")+"\r\n"
	for given, want := range map[string]string{
		head + far + near + far + tail: head + near + tail,
		head + near + tail:             head + near + tail,
		head + tail:                    head + tail,
		head + far + tail:              head + far + tail, // otherwise nothing would be left
		"":                             "",
	} {
		filter := NewFilter(farLAN)
		offer := &livekit.SignalResponse{Message: &livekit.SignalResponse_Offer{Offer: &livekit.SessionDescription{Type: "offer", Sdp: given, Id: 7}}}
		if got := filter.Pass(offer); len(got) != 1 || got[0].(*livekit.SignalResponse).GetOffer().Sdp != want || offer.GetOffer().Sdp != given {
			t.Errorf("%q becomes %v", given, got)
		}
		answer := &livekit.SignalResponse{Message: &livekit.SignalResponse_Answer{Answer: &livekit.SessionDescription{Type: "answer", Sdp: given, Id: 7}}}
		if got := filter.Pass(answer); len(got) != 1 || got[0].(*livekit.SignalResponse).GetAnswer().Sdp != want || answer.GetAnswer().Id != 7 {
			t.Errorf("%q becomes %v", given, got)
		}
	}
}

func TestOtherMessagesPassAsTheyAre(t *testing.T) {
	filter := NewFilter(farLAN)
	for _, message := range []proto.Message{
		&livekit.SignalResponse{Message: &livekit.SignalResponse_RefreshToken{RefreshToken: enginetest.Candidate("10.9.0.2")}},
		&livekit.SignalResponse{Message: &livekit.SignalResponse_Pong{Pong: 1}},
		&livekit.SignalResponse{},
		&livekit.SignalRequest{},
	} {
		if got := filter.Pass(message); len(got) != 1 || got[0] != message {
			t.Errorf("%v becomes %v", message, got)
		}
	}
}

// Whatever both sides gather at the same time, the near candidates arrive in order, and the last one has the mark. If
// none is near, all arrive.
func TestCandidatesOfOtherLANsAreLeftOut(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		filter := NewFilter(farLAN)
		want, got := map[livekit.SignalTarget][]string{}, map[livekit.SignalTarget][]string{}
		var given []*livekit.SignalResponse
		for target := range livekit.SignalTarget(2) {
			var near, all []string
			count := 1 + random.IntN(4)
			for i := range count {
				address := fmt.Sprintf("192.168.1.%d", i)
				if random.IntN(2) == 0 {
					address = "10.9.0.2"
				} else {
					near = append(near, enginetest.Candidate(address))
				}
				all = append(all, enginetest.Candidate(address))
				// The messages of the two sides are mixed, and each side keeps its order.
				at := random.IntN(len(given) + 1)
				if i > 0 {
					at = max(at, 1+slices.IndexFunc(given, func(r *livekit.SignalResponse) bool { return r == lastOf(given, target) }))
				}
				given = slices.Insert(given, at, enginetest.Trickle(target, address, i == count-1))
			}
			want[target] = near
			if len(near) == 0 {
				want[target] = all
			}
		}
		ended := map[livekit.SignalTarget]bool{}
		for _, message := range given {
			before := proto.Clone(message)
			for _, passed := range filter.Pass(message) {
				one := passed.(*livekit.SignalResponse).GetTrickle()
				if ended[one.Target] {
					t.Fatalf("after the last: %v", one)
				}
				ended[one.Target] = one.Final
				text := strings.SplitN(one.CandidateInit, `"`, 5)[3]
				got[one.Target] = append(got[one.Target], text)
			}
			if !proto.Equal(message, before) {
				t.Fatalf("upstream's message was changed: %v", message)
			}
		}
		for target := range want {
			if !slices.Equal(got[target], want[target]) || !ended[target] {
				t.Fatalf("%v becomes %q, want %q; ended: %v", given, got, want, ended)
			}
		}
	}
}

func lastOf(given []*livekit.SignalResponse, target livekit.SignalTarget) *livekit.SignalResponse {
	for _, each := range slices.Backward(given) {
		if each.GetTrickle().Target == target {
			return each
		}
	}
	return nil
}

func TestACandidateThatIsNotUnderstoodIsTold(t *testing.T) {
	filter := NewFilter(farLAN)
	odd := enginetest.Trickle(livekit.SignalTarget_PUBLISHER, "192.168.1.5", false)
	odd.GetTrickle().CandidateInit = "10.9.0.2"
	if got := filter.Pass(odd); got != nil {
		t.Errorf("%v", got)
	}
	got := filter.Pass(enginetest.Trickle(livekit.SignalTarget_PUBLISHER, "10.9.0.2", true))
	if len(got) != 1 || got[0].(*livekit.SignalResponse).GetTrickle().CandidateInit != "10.9.0.2" || !got[0].(*livekit.SignalResponse).GetTrickle().Final {
		t.Errorf("%v", got)
	}
}
