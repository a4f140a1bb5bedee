package probe

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/participant"
)

// join takes the stage join, both participants at once.
func (c *call) join(ctx context.Context, server *server) *fault {
	var err error
	if c.stream, err = newStream(); err != nil {
		return failed(StageJoin, "%v", err)
	}
	c.route.Loopback = participant.SameMachine(server.address.Addr())
	if !c.route.RelayOnly { // a relay knows by itself where its peers are, and what comes from elsewhere it drops
		c.route.Leads = c.way.hosts.addresses()
		c.route.Unasked = unasked
	}
	joined := make([]*participant.Participant, len(c.tokens))
	faults := make([]*fault, len(c.tokens))
	var joins sync.WaitGroup
	for i, token := range c.tokens {
		joins.Go(func() {
			var err error
			joined[i], err = participant.Join(ctx, participant.Config{
				URL: server.target.String(), Token: token, AutoSubscribe: i > 0, Route: c.route.Route,
				Dial: server.dial, TLS: c.way.tlsConfig(server.target.Hostname(), "http/1.1"), Settings: c.settings, OnTrack: c.stream.receive,
			})
			faults[i] = c.explainJoin(err)
		})
	}
	joins.Wait()
	for _, p := range joined {
		if p != nil {
			c.participants = append(c.participants, p)
		}
	}
	for _, f := range faults {
		if f != nil {
			return f
		}
	}
	return c.start()
}

func (c *call) explainJoin(err error) *fault {
	var refused *participant.RefusedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return failed(StageJoin, "the server refused the WebSocket: %s", redact(refused.Error(), c.tokens))
	case errors.Is(err, context.DeadlineExceeded):
		return failed(StageJoin, "the server did not welcome the participant in time")
	default:
		return failed(StageJoin, "%s", redact(err.Error(), c.tokens))
	}
}

// start checks what the welcomes say and begins the exchange of descriptions.
func (c *call) start() *fault {
	rooms, identities := map[string]bool{}, map[string]bool{}
	for i, p := range c.participants {
		welcome := p.Welcome()
		rooms[welcome.GetRoom().GetName()] = true
		identities[welcome.GetParticipant().GetIdentity()] = true
		if permission := welcome.GetParticipant().GetPermission(); permission == nil {
			continue // servers need not say
		} else if i == 0 && !permission.GetCanPublish() {
			return failed(StageToken, "the first token doesn't let %s publish", welcome.GetParticipant().GetIdentity())
		} else if i > 0 && !permission.GetCanSubscribe() {
			return failed(StageToken, "the second token doesn't let %s subscribe", welcome.GetParticipant().GetIdentity())
		}
	}
	if len(rooms) > 1 {
		return failed(StageToken, "the two tokens are for different rooms")
	}
	if len(identities) < len(c.participants) {
		return failed(StageToken, "the two tokens are for one identity, and a second join under it removes the first")
	}
	for i, p := range c.participants {
		if c.route.needsServer {
			urls := relayURLs(c.route.ICEServers(p.Welcome().GetIceServers()))
			if len(urls) == 0 {
				return &fault{stage: StageJoin, detail: c.route.missing, untried: true}
			}
			text := strings.Join(urls, " ")
			c.result.Relay = &text
			if i == 0 {
				if f := c.turn.check(urls); f != nil {
					return f
				}
			}
		}
		var tracks []participant.Publication
		if i == 0 {
			tracks = []participant.Publication{{Track: c.stream.track, Request: &livekit.AddTrackRequest{
				Name: "probe", Type: livekit.TrackType_AUDIO, Source: livekit.TrackSource_MICROPHONE,
				DisableRed: true, // one packet sent is one packet heard
			}}}
		}
		if err := p.Start(tracks...); err != nil {
			return failed(StageJoin, "%s", redact(err.Error(), c.tokens))
		}
	}
	return nil
}

func relayURLs(servers []webrtc.ICEServer) []string {
	var urls []string
	for _, server := range servers {
		urls = append(urls, server.URLs...)
	}
	return urls
}
