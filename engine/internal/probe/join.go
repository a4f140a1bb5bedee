package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/participant"
)

// join goes through the stage join, with both participants at once.
func (c *call) join(ctx context.Context, server *server) *fault {
	var err error
	if c.sound, c.picture, err = newStreams(); err != nil {
		return failed(StageJoin, JoinFailed, "%v", err)
	}
	c.route.Loopback = participant.SameMachine(server.address.Addr())
	if !c.route.RelayOnly { // a relay knows where its peers are, and drops packets from elsewhere
		c.route.Leads = c.access.hosts.addresses()
		c.route.Unasked, c.route.Untold = unasked, untold
	}
	joined := make([]*participant.Participant, len(c.tokens))
	faults := make([]*fault, len(c.tokens))
	var joins sync.WaitGroup
	for i, token := range c.tokens {
		joins.Go(func() {
			var err error
			joined[i], err = participant.Join(ctx, participant.Config{
				URL: server.target.String(), Token: token, AutoSubscribe: i > 0, Route: c.route.Route,
				Dial: server.dial, TLS: c.access.tlsConfig(server.target.Hostname(), "http/1.1"), Settings: c.settings, OnTrack: c.receive,
			})
			faults[i] = c.explainJoin(server, err)
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

func (c *call) explainJoin(server *server, err error) *fault {
	var refused *participant.RefusedError
	var network net.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return c.explainRefusal(server, refused)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return failed(StageJoin, SignalSilent, "the server did not welcome the participant in time")
	case websocket.IsUnexpectedCloseError(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return failed(StageJoin, SignalEnded, "the signalling connection was closed before the welcome: %s", redact(err.Error(), c.tokens))
	default:
		return failed(StageJoin, JoinFailed, "%s", redact(err.Error(), c.tokens))
	}
}

// explainRefusal is for a WebSocket that was not opened, although /rtc/validate accepted the same token before.
func (c *call) explainRefusal(server *server, refused *participant.RefusedError) *fault {
	asked := server.target.JoinPath("rtc")
	a := readAnswer(asked, &http.Response{StatusCode: refused.Status, Header: refused.Header}, []byte(refused.Body), c.tokens)
	f := a.judge(StageJoin)
	if f == nil {
		f = failed(StageJoin, NotUpgraded, "")
	}
	switch {
	case f.stage == StageToken:
		f.stage = StageJoin // the token itself was accepted
	case f.reason == HTTPFailed && refused.Status >= http.StatusInternalServerError && !a.isHTML:
		f.reason = JoinRefused
	case slices.Contains(plainAnswers, f.reason):
		f.reason = NotUpgraded
	}
	f.detail = fmt.Sprintf("the WebSocket was not opened: HTTP %d%s", refused.Status, a.quoted())
	return f.with("status", strconv.Itoa(refused.Status))
}

// plainAnswers are the answers of LiveKit and other servers to a request for /rtc that asks for no WebSocket:
// livekit-server answers 404 without a text (pkg/service/rtcservice.go, serve).
var plainAnswers = []Reason{NotFound, NotLiveKit, HTTPFailed, NotUpgraded}

// start checks what the welcomes say and begins the exchange of descriptions.
func (c *call) start() *fault {
	rooms, identities := map[string]bool{}, map[string]bool{}
	for i, p := range c.participants {
		welcome := p.Welcome()
		rooms[welcome.GetRoom().GetName()] = true
		identities[welcome.GetParticipant().GetIdentity()] = true
		if permission := welcome.GetParticipant().GetPermission(); permission == nil {
			continue // servers need not send it
		} else if i == 0 && !permission.GetCanPublish() {
			return failed(StageToken, NoGrant, "the first token doesn't let %s publish", welcome.GetParticipant().GetIdentity())
		} else if i > 0 && !permission.GetCanSubscribe() {
			return failed(StageToken, NoGrant, "the second token doesn't let %s subscribe", welcome.GetParticipant().GetIdentity())
		}
	}
	if len(rooms) > 1 {
		return failed(StageToken, TokenMismatch, "the two tokens are for different rooms")
	}
	if len(identities) < len(c.participants) {
		return failed(StageToken, TokenMismatch, "the two tokens are for one identity, and a second join under it removes the first")
	}
	for i, p := range c.participants {
		if c.route.needsServer {
			urls := relayURLs(c.route.ICEServers(p.Welcome().GetIceServers()))
			if len(urls) == 0 {
				return failed(StageJoin, NotOffered, "%s", c.route.missing).asUntried(true)
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
			tracks = publications(c.sound, c.picture)
			if c.shows = takesPicture(p.Welcome()); !c.shows {
				tracks = tracks[:1]
			}
		}
		if err := p.Start(tracks...); err != nil {
			return failed(StageJoin, JoinFailed, "%s", redact(err.Error(), c.tokens))
		}
	}
	return nil
}

// takesPicture says whether the server takes VP8 from publishers, even if it does not list its codecs. It refuses the
// section of a picture that it does not take, and then pion/webrtc would end the session.
func takesPicture(welcome *livekit.JoinResponse) bool {
	codecs := welcome.GetEnabledPublishCodecs()
	return len(codecs) == 0 || slices.ContainsFunc(codecs, func(codec *livekit.Codec) bool {
		return strings.EqualFold(codec.GetMime(), webrtc.MimeTypeVP8)
	})
}

// receive counts the packets that the subscriber gets.
func (c *call) receive(track *webrtc.TrackRemote) {
	if track.Kind() == webrtc.RTPCodecTypeVideo {
		c.picture.receive(track)
		return
	}
	c.sound.receive(track)
}

func relayURLs(servers []webrtc.ICEServer) []string {
	var urls []string
	for _, server := range servers {
		urls = append(urls, server.URLs...)
	}
	return urls
}
