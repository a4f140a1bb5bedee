package signal

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/keyring"
)

var (
	current  = keyring.Key{ID: "APInew", Secret: strings.Repeat("n", 32)}
	internal = keyring.Key{ID: "engine-x", Secret: strings.Repeat("x", 32)}
)

func refresh(t *testing.T, valid time.Duration) (*livekit.SignalResponse, *auth.VideoGrant) {
	t.Helper()
	grant := &auth.VideoGrant{RoomJoin: true, Room: "den", RoomAdmin: true}
	token, err := auth.NewAccessToken(internal.ID, internal.Secret).SetIdentity("alice").SetName("Alice <&> ü").
		SetAttributes(map[string]string{"n": "9007199254740993"}).SetVideoGrant(grant).SetValidFor(valid).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_RefreshToken{RefreshToken: token}}, grant
}

// A refresh token keeps all its claims. It keeps its expiry too, unless the session began with a key that is no longer
// the current one.
func TestRefreshTokensAreSignedWithTheCurrentKey(t *testing.T) {
	for joinedWith, longest := range map[string]time.Duration{current.ID: 48 * time.Hour, "APIold": retiringTTL} {
		message, grant := refresh(t, 48*time.Hour)
		passed := signMessage(message, current, joinedWith, time.Now())
		if len(passed) != 1 {
			t.Fatalf("%d messages", len(passed))
		}
		verifier, err := auth.ParseAPIToken(passed[0].(*livekit.SignalResponse).GetRefreshToken())
		if err != nil || verifier.APIKey() != current.ID {
			t.Fatalf("signed by %v: %v", verifier, err)
		}
		claims, grants, err := verifier.Verify(current.Secret)
		if err != nil {
			t.Fatal(err)
		}
		if grants.Identity != "alice" || grants.Name != "Alice <&> ü" || !reflect.DeepEqual(grants.Video, grant) || grants.Attributes["n"] != "9007199254740993" {
			t.Errorf("the claims changed: %+v", grants)
		}
		if left := time.Until(claims.ExpiresAt.Time); left > longest || left < longest-time.Minute {
			t.Errorf("joined with %s: valid for %s, want %s", joinedWith, left, longest)
		}
	}
}

// A token that expires sooner is not made to last longer.
func TestRefreshTokensNeverLastLonger(t *testing.T) {
	message, _ := refresh(t, time.Minute)
	verifier, _ := auth.ParseAPIToken(signMessage(message, current, "APIold", time.Now())[0].(*livekit.SignalResponse).GetRefreshToken())
	if claims, _, err := verifier.Verify(current.Secret); err != nil || time.Until(claims.ExpiresAt.Time) > time.Minute {
		t.Errorf("%v, %v", claims, err)
	}
}

func TestOtherMessagesPassUnchanged(t *testing.T) {
	for _, message := range []proto.Message{&livekit.SignalResponse{}, calltest.Ping(1)} {
		if passed := signMessage(message, current, "", time.Now()); len(passed) != 1 || passed[0] != message {
			t.Errorf("%v became %v", message, passed)
		}
	}
	for _, token := range []string{"no.token", "a.!.c", "a.bm90IEpTT04.c"} {
		message := &livekit.SignalResponse{Message: &livekit.SignalResponse_RefreshToken{RefreshToken: token}}
		if passed := signMessage(message, current, "", time.Now()); len(passed) != 0 {
			t.Errorf("%q is passed on: %v", token, passed)
		}
	}
}

func TestJoinedForgetsWhoHasLeft(t *testing.T) {
	joined := NewJoined()
	alice, bob, carol := Participant{"den", "alice"}, Participant{"den", "bob"}, Participant{"attic", "alice"}
	joined.add(alice, "APIold")
	joined.add(bob, "APIold")
	joined.add(carol, "APInew")
	joined.add(bob, "APInew") // bob has connected again
	if counts := joined.Count([]Participant{alice, bob, carol}); counts["APIold"] != 1 || counts["APInew"] != 2 {
		t.Error(counts)
	}
	joined.Count([]Participant{alice})
	if counts := joined.Count([]Participant{alice, bob}); counts["APIold"] != 1 || counts["APInew"] != 0 {
		t.Errorf("bob had left: %v", counts)
	}
}
