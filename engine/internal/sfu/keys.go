package sfu

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/livekit/livekit-server/pkg/agent/endpoint"
	livekitconfig "github.com/livekit/livekit-server/pkg/config"
	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/livekit-server/pkg/rtc/types"
	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/livekit-server/pkg/telemetry"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/webhook"
	"github.com/livekit/psrpc"

	"lkhub/engine/internal/agents"
	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/input"
	"lkhub/engine/internal/keyring"
	"lkhub/engine/internal/private"
	"lkhub/engine/internal/sfu/config"
	"lkhub/engine/internal/sfu/signal"
)

// keys are the API keys of the server, which may be replaced while it runs.
//
// Upstream reads its keys once, into a map that has no lock, and gives that map to everything that checks or signs.
// So upstream gets one key only, which this process makes and never tells. The real keys are in the ring: it checks all
// requests (serve), signs refresh tokens (signal.SignWith), and signs webhooks and agents' tokens.
type keys struct {
	file    string // "": the keys are in livekit.yaml, and can't be read again
	ring    *keyring.Ring
	uses    *keyring.Uses
	joined  *signal.Joined
	workers *workers
	agents  *agents.Book
	handler *service.AgentHandler
	webhook string // the key that livekit.yaml names for webhooks; "", or a key that is gone: the current key
	signers []webhook.QueuedNotifier
}

// takeKeys takes the keys out of a configuration, and leaves it a key that only this process knows.
func takeKeys(conf *config.Server) (*keys, error) {
	read, err := readKeys(conf)
	if err != nil {
		return nil, err
	}
	own := keyring.Key{ID: "engine-" + rand.Text(), Secret: rand.Text() + rand.Text()}
	k := &keys{
		file: conf.KeyFile, ring: keyring.New(own, read), uses: keyring.NewUses(time.Now), joined: signal.NewJoined(),
		webhook: conf.WebHook.APIKey,
	}
	k.workers, k.agents = newWorkers(k.ring), agents.NewBook(time.Now)
	conf.KeyFile, conf.Keys = "", map[string]string{own.ID: own.Secret}
	conf.WebHook.APIKey = own.ID
	return k, nil
}

// readKeys reads the keys, the current one first. Keys in livekit.yaml itself come from hand-written files and have no
// order, so any of them signs.
func readKeys(conf *config.Server) ([]keyring.Key, error) {
	if conf.KeyFile != "" {
		return readKeyFile(conf.KeyFile)
	}
	var read []keyring.Key
	for id, secret := range conf.Keys {
		read = append(read, keyring.Key{ID: id, Secret: secret})
	}
	if len(read) == 0 {
		return nil, failure.Config("livekit.yaml holds no key")
	}
	return read, nil
}

func readKeyFile(path string) ([]keyring.Key, error) {
	if err := input.CheckPrivate(path); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, failure.Config("key file %s: %v", path, errors.Unwrap(err))
	}
	read, err := keyring.Parse(text)
	if err != nil {
		return nil, failure.Config("key file %s: %v", path, err)
	}
	return read, nil
}

// install lets the ring check all requests and sign. It must be called before the server starts, and before anything
// else wraps the telemetry. If one of the fields is renamed, TestMediaReadsItsKeysAgain fails.
func (k *keys) install(server *service.LivekitServer, conf *livekitconfig.Config, node routing.LocalNode) error {
	rooms := server.RoomManager()
	bus := *private.Field[psrpc.MessageBus](rooms, "bus")
	scopes := service.NewEndpointScopes()
	// Upstream's own handler of agents can't be reached. It gets no worker, as on a node to which none connects.
	handler, err := service.NewAgentHandler(conf, node, bus, k.ring, endpoint.NewRegistry(), scopes)
	if err != nil {
		return err
	}
	k.handler = handler
	*private.Field[string](handler, "singleAPIKey") = "" // a key that no worker has: the one that upstream was given
	var front http.Handler
	if !conf.Agents.Endpoints.Disabled {
		endpoints := service.NewAgentEndpointService(handler, scopes)
		front = k.record(endpoints)
		*private.Field[*service.AgentEndpointService](server, "agentEndpoint") = endpoints
	}
	httpServer := *private.Field[*http.Server](server, "httpServer")
	sockets := k.workers.watch(newAgentSocket(conf, handler, k.agents))
	httpServer.Handler = service.NewHTTPHandler(conf, k.ring, k.record(route(sockets, withoutToken(httpServer.Handler))), front)
	if transport := *private.Field[*service.WebTransportServer](server, "webtransportServer"); transport != nil {
		mux := http.NewServeMux()
		mux.Handle("/agent", k.record(service.NewAgentWTService(handler)))
		transport.H3.Handler = service.NewWebTransportHandler(k.ring, transport, mux)
	}
	heard := *private.Field[telemetry.TelemetryService](rooms, "telemetry")
	if notifier, ok := (*private.Field[webhook.QueuedNotifier](heard, "notifier")).(*webhook.DefaultNotifier); ok {
		*private.Field[auth.KeyProvider](notifier, "kp") = k.ring
		k.signers = []webhook.QueuedNotifier{notifier, *private.Field[webhook.QueuedNotifier](notifier, "extraWebhookNotifier")}
	}
	k.signWebhooks()
	signal.SignWith(server, k.ring, k.joined)
	return nil
}

func (k *keys) signWebhooks() {
	key := k.ring.Choose(k.webhook)
	for _, signer := range k.signers {
		signer.SetKeys(key.ID, key.Secret)
	}
}

// route has the one path that upstream's own handler must not get: it would register workers with the key that it knows.
func route(agents, others http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/agent" {
			agents.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}

// withoutToken calls upstream's handler, which checks tokens too, but with the one key that it knows. A request without
// a token keeps the grants that the ring has found in it.
func withoutToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stripped := r.Clone(r.Context())
		stripped.Header.Del("Authorization")
		if query := stripped.URL.Query(); query.Has("access_token") {
			query.Del("access_token")
			stripped.URL.RawQuery = query.Encode()
		}
		next.ServeHTTP(w, stripped)
	})
}

// record notes with which key a request was accepted.
func (k *keys) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key := service.GetAPIKey(r.Context()); key != "" && key != k.ring.Own().ID {
			address, _, _ := strings.Cut(service.GetClientIP(r), ",")
			by := keyring.Caller{Kind: kindOf(r.URL.Path), Address: strings.TrimSpace(address)}
			if grants := service.GetGrants(r.Context()); grants != nil {
				by.Identity = grants.Identity
			}
			k.uses.Add(key, by)
		}
		next.ServeHTTP(w, r)
	})
}

func kindOf(path string) keyring.Kind {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "rtc":
		return keyring.Join
	case "twirp":
		return keyring.API
	case "agent", "agents":
		return keyring.Agent
	case "whip":
		return keyring.WHIP
	}
	return keyring.Other
}

// Reload reads the key file again. If the file can't be used, the keys from before stay. livekit.yaml is not read again.
//
// A request whose key is gone is refused as soon as Reload returns. Sessions go on: each participant gets a refresh
// token of the current key at once, with which its client reconnects. Agent workers that registered with a key that is
// gone are disconnected, since the tokens of their next jobs would be refused.
func (s *Server) Reload() error {
	select {
	case <-s.up:
	default:
		return failure.New(failure.ExitMachine, "starting", "media is starting; it reads its keys then")
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.keys.file == "" {
		return failure.Config("livekit.yaml names no key_file, so the keys can't be read again")
	}
	read, err := readKeyFile(s.keys.file)
	if err != nil {
		return err
	}
	before := s.keys.ring.Current()
	gone := s.keys.ring.Swap(read)
	s.keys.signWebhooks()
	for _, key := range gone {
		s.keys.uses.Forget(key)
	}
	s.keys.workers.closeGone()
	if s.keys.ring.Current() != before {
		s.refreshTokens()
	}
	slog.Info("the keys were read again", "keys", len(read), "gone", len(gone))
	return nil
}

// refreshTokens sends each participant a refresh token, as upstream does every five minutes (roommanager.go,
// refreshToken).
func (s *Server) refreshTokens() {
	for _, room := range s.listRooms() {
		for _, participant := range room.GetParticipants() {
			if err := s.refreshToken(participant); err != nil {
				slog.Error("a participant gets its refresh token later", "participant", participant.Identity(), "error", err)
			}
		}
	}
}

// refreshTTL is upstream's tokenDefaultTTL.
const refreshTTL = 10 * time.Minute

func (s *Server) refreshToken(participant types.LocalParticipant) error {
	own, grants := s.keys.ring.Own(), participant.ClaimGrants()
	valid := refreshTTL
	if expires := participant.TokenExpiresAt(); !expires.IsZero() {
		valid = max(valid, time.Until(expires))
	}
	// The router signs it with the current key.
	token, err := auth.NewAccessToken(own.ID, own.Secret).
		SetName(grants.Name).
		SetIdentity(string(participant.Identity())).
		SetKind(grants.GetParticipantKind()).
		SetValidFor(valid).
		SetMetadata(grants.Metadata).
		SetAttributes(grants.Attributes).
		SetVideoGrant(grants.Video).
		SetRoomConfig(grants.GetRoomConfiguration()).
		SetRoomPreset(grants.RoomPreset).
		ToJWT()
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	return participant.SendRefreshToken(token)
}

// KeyStatus tells of each key how it was used since this process started, and how many participants last connected with
// it.
type KeyStatus struct {
	keyring.KeyUses
	Participants int `json:"participants"`
}

func (k *keys) status(present []signal.Participant) []KeyStatus {
	counts := k.joined.Count(present)
	told := []KeyStatus{}
	for _, uses := range k.uses.Of(k.ring.Keys()) {
		told = append(told, KeyStatus{uses, counts[uses.ID]})
	}
	return told
}
