package signal

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/keyring"
)

// retiringTTL is how long a refresh token is valid at most if the session began with a key that is no longer the current
// one. Upstream sends a new one every five minutes (roommanager.go, tokenRefreshInterval). Without the limit, whoever
// joined with a leaked key would get a token of the new key that is valid as long as the first one.
const retiringTTL = 10 * time.Minute

// signingKeys has the key to sign with, which may change at any time.
type signingKeys interface{ Current() keyring.Key }

// Joined says with which key each participant last connected.
type Joined struct {
	mu  sync.Mutex
	key map[Participant]string
}

// Participant is an identity in a room.
type Participant struct {
	Room     livekit.RoomName
	Identity livekit.ParticipantIdentity
}

// joinedMost is how many participants are remembered before Joined forgets those that have left.
const joinedMost = 20_000

// NewJoined knows no participant yet.
func NewJoined() *Joined { return &Joined{key: map[Participant]string{}} }

func (j *Joined) add(who Participant, key string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.key) >= joinedMost {
		clear(j.key)
	}
	j.key[who] = key
}

// Count is how many of these participants last connected with each key. It forgets all others.
func (j *Joined) Count(present []Participant) map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	kept, counts := make(map[Participant]string, len(present)), map[string]int{}
	for _, who := range present {
		if key, ok := j.key[who]; ok {
			kept[who] = key
			counts[key]++
		}
	}
	j.key = kept
	return counts
}

// SignWith signs refresh tokens with the current key. Upstream signs them with a key that can't be replaced while the
// server runs (roommanager.go, getFirstKeyPair). It must be called before the server starts. If one of the fields is
// renamed, TestMediaFromStartToDrain fails.
func SignWith(server *service.LivekitServer, keys signingKeys, joined *Joined) {
	router := routerOf(server)
	*router = tokenRouter{*router, keys, joined}
}

type tokenRouter struct {
	messageRouter
	keys   signingKeys
	joined *Joined
}

func (r tokenRouter) StartParticipantSignal(ctx context.Context, room livekit.RoomName, init participantInit) (startedSignal, error) {
	started, err := r.messageRouter.StartParticipantSignal(ctx, room, init)
	if err != nil {
		return started, err
	}
	r.joined.add(Participant{room, init.Identity}, init.APIKey)
	started.ResponseSource = filterSource(started.ResponseSource, func(message proto.Message) []proto.Message {
		return signMessage(message, r.keys.Current(), init.APIKey, time.Now())
	})
	return started, nil
}

// signMessage replaces the token of a message that has one. A token that can't be read is not passed on: no client
// could use it.
func signMessage(message proto.Message, key keyring.Key, joinedWith string, now time.Time) []proto.Message {
	response, ok := message.(*livekit.SignalResponse)
	if !ok || response.GetRefreshToken() == "" {
		return []proto.Message{message}
	}
	var latest time.Time
	if joinedWith != key.ID {
		latest = now.Add(retiringTTL)
	}
	signed, err := signAgain(response.GetRefreshToken(), key, latest)
	if err != nil {
		slog.Error("a refresh token can't be signed", "error", err)
		return nil
	}
	return []proto.Message{&livekit.SignalResponse{Message: &livekit.SignalResponse_RefreshToken{RefreshToken: signed}}}
}

// signAgain returns the same claims signed with another key. If latest is set, the token expires then at the latest.
func signAgain(token string, key keyring.Key, latest time.Time) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("not a JWT")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	claims := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		return "", err
	}
	claims["iss"] = key.ID
	if expires, ok := claims["exp"].(json.Number); ok && !latest.IsZero() {
		if seconds, err := expires.Float64(); err != nil || seconds > float64(latest.Unix()) {
			claims["exp"] = latest.Unix()
		}
	}
	if text, err = json.Marshal(claims); err != nil {
		return "", err
	}
	signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(text)
	mac := hmac.New(sha256.New, []byte(key.Secret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}
