// Package calltest has participants for tests that call through a running media process.
package calltest

import (
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/enginetest"
	"lkhub/engine/internal/participant"
	"lkhub/engine/internal/roster"
)

// Join makes a participant join a room over one kind of path, with media connected, and publish these tracks.
func (s Server) Join(t *testing.T, identity string, relayed bool, publications ...participant.Publication) *participant.Participant {
	t.Helper()
	route := participant.Route{Networks: []webrtc.NetworkType{webrtc.NetworkTypeUDP4}, Loopback: true, RelayOnly: relayed}
	route.Server = func(url string) bool { return relayed && strings.HasPrefix(url, "turn:") }
	p, err := participant.Join(t.Context(), participant.Config{
		URL: s.URL, Token: Token(t, Secret, t.Name(), identity), Route: route,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.Start(publications...); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Subscriber.Connected():
	case <-time.After(enginetest.Patience):
		t.Fatalf("%s is not connected", identity)
	}
	return p
}

// SignIn joins a room without opening a PeerConnection.
func (s Server) SignIn(t *testing.T, room, identity string) *participant.Participant {
	t.Helper()
	p, err := participant.Join(t.Context(), participant.Config{URL: s.URL, Token: Token(t, Secret, room, identity)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// SID is the SID that a participant was given.
func SID(p *participant.Participant) string { return p.Welcome().Participant.Sid }

// Presence is what media knows of these participants, by SID.
func (s Server) Presence(t *testing.T, participants ...string) roster.Presence {
	t.Helper()
	said, err := roster.NewClient([]string{s.Control}).Ask(t.Context(), participants)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

const (
	Key    = "APIcall"
	Secret = "the secret with which tests make calls"
)

// Server is the engine's own media process.
type Server struct{ URL, Control string }

// Token lets an identity into a room.
func Token(t *testing.T, secret, room, identity string) string {
	t.Helper()
	token, err := auth.NewAccessToken(Key, secret).SetIdentity(identity).SetValidFor(time.Minute).
		SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: room}).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
