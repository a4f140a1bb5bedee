// Package participant is one participant of a LiveKit room: a signalling connection and two PeerConnections.
//
// server-sdk-go's Room takes no SettingEngine, so it can't be confined to one kind of ICE path. Its signalling
// package carries the protocol and is used here. The protocol's first form is spoken (/rtc, a PeerConnection
// for each direction): every server from 1.8 to 1.13 answers it, while /rtc/v1 begins with 1.9.10.
package participant

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	protosignalling "github.com/livekit/protocol/signalling"
	"github.com/livekit/server-sdk-go/v2/signalling"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// leaveTimeout is how long the server may take to close the connection after a leave request; it takes milliseconds.
// Closing first could reset the connection and lose the request, and the room would keep the participant for half a
// minute.
const leaveTimeout = 500 * time.Millisecond

// closeTimeout limits the wait for PeerConnections, which is usually some milliseconds. One that waits for a TURN
// server's answer ends by itself, but only after the request has failed.
const closeTimeout = 300 * time.Millisecond

// Config is how a participant joins.
type Config struct {
	URL           string // ws:, wss:, http: or https:
	Token         string
	AutoSubscribe bool
	Route         Route

	// Dial opens the TCP connection for signalling; nil: as usual.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is for signalling; nil: as usual.
	TLS *tls.Config

	// Settings may change pion's settings after all others. No other interceptors than Interceptors are used.
	Settings     func(*webrtc.SettingEngine)
	Interceptors []interceptor.Factory

	// OnTrack is called for every subscribed track.
	OnTrack func(*webrtc.TrackRemote)
}

// Publication is a track to publish.
type Publication struct {
	Track   webrtc.TrackLocal
	Request *livekit.AddTrackRequest // its Cid is set to the track's ID
	OnRTCP  func([]rtcp.Packet)      // feedback of the server; may be nil
}

// Participant is a joined participant. Close ends it.
type Participant struct {
	Publisher  *Transport
	Subscriber *Transport

	config   Config
	protocol signalling.Signalling
	signal   *signal
	join     *livekit.JoinResponse

	reading sync.Once
	ended   latch
	err     error // why the session ended; read it after ended

	mu        sync.Mutex
	published map[string]latch // by Cid
}

// Join opens the signalling connection and waits for the server's welcome. It sends nothing else; Start does.
func Join(ctx context.Context, config Config) (*Participant, error) {
	protocol := signalling.NewSignalling(signalling.SignallingParams{Logger: logger.GetDiscardLogger()})
	connection, first, err := dialSignal(ctx, config, protocol)
	if err != nil {
		return nil, err
	}
	p := &Participant{
		config: config, protocol: protocol, signal: connection, join: first.GetJoin(),
		ended: newLatch(), published: map[string]latch{},
	}
	if p.join == nil {
		_ = connection.conn.Close()
		if leave := first.GetLeave(); leave != nil {
			return nil, leftError(leave)
		}
		return nil, fmt.Errorf("the server began with %T instead of a welcome", first.GetMessage())
	}
	return p, nil
}

// Welcome is the server's answer to the join.
func (p *Participant) Welcome() *livekit.JoinResponse { return p.join }

// Start opens the PeerConnections and publishes. The server offers the subscriber's side by itself.
func (p *Participant) Start(publications ...Publication) error {
	servers := p.config.Route.ICEServers(p.join.GetIceServers())
	var err error
	if p.Publisher, err = p.open(livekit.SignalTarget_PUBLISHER, servers); err != nil {
		return err
	}
	if p.Subscriber, err = p.open(livekit.SignalTarget_SUBSCRIBER, servers); err != nil {
		return err
	}
	p.Subscriber.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if p.config.OnTrack != nil {
			p.config.OnTrack(track)
		}
	})
	p.read()
	if len(publications) == 0 {
		return nil
	}
	for _, publication := range publications {
		if err := p.publish(publication); err != nil {
			return err
		}
	}
	offer, err := p.Publisher.offer()
	if err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	return p.signal.send(p.protocol.SignalSdpOffer(protosignalling.ToProtoSessionDescription(offer, 0, nil)))
}

func (p *Participant) open(target livekit.SignalTarget, servers []webrtc.ICEServer) (*Transport, error) {
	return newTransport(target, p.config, servers, func(candidate *webrtc.ICECandidate) {
		init := candidate.ToJSON()
		if target == livekit.SignalTarget_SUBSCRIBER {
			init.Candidate = withoutWait(init.Candidate)
		}
		// A failure to send also ends the reading, and is reported there.
		_ = p.signal.send(p.protocol.SignalICECandidate(protosignalling.ToProtoTrickle(init, target, false)))
	})
}

func (p *Participant) publish(publication Publication) error {
	sender, err := p.Publisher.pc.AddTrack(publication.Track)
	if err != nil {
		return fmt.Errorf("add track: %w", err)
	}
	publication.Request.Cid = publication.Track.ID()
	p.mu.Lock()
	p.published[publication.Request.Cid] = newLatch()
	p.mu.Unlock()
	go func() { // pion needs its senders to be read
		for {
			packets, _, err := sender.ReadRTCP()
			if err != nil {
				return
			}
			if publication.OnRTCP != nil {
				publication.OnRTCP(packets)
			}
		}
	}()
	return p.signal.send(p.protocol.SignalAddTrack(publication.Request))
}

// Published is closed when the server has accepted the track. It is nil, which blocks, for an unknown track.
func (p *Participant) Published(cid string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.published[cid].done
}

// Ended is closed when the session has ended for any reason.
func (p *Participant) Ended() <-chan struct{} { return p.ended.done }

// Err says why the session ended, once Ended is closed.
func (p *Participant) Err() error { return p.err }

// Close leaves the room, so that the room is empty at once, and frees everything. Media ends before the leave request
// takes effect, because the server would log an error for every later packet.
func (p *Participant) Close() {
	var transports sync.WaitGroup
	for _, transport := range []*Transport{p.Publisher, p.Subscriber} {
		if transport != nil {
			transports.Go(transport.close)
		}
	}
	closed := newLatch()
	go func() {
		transports.Wait()
		closed.set()
	}()
	select {
	case <-closed.done:
	case <-time.After(closeTimeout):
	}
	_ = p.signal.send(p.protocol.SignalLeaveRequest(&livekit.LeaveRequest{
		Reason: livekit.DisconnectReason_CLIENT_INITIATED,
		Action: livekit.LeaveRequest_DISCONNECT,
	}))
	p.read()
	select {
	case <-p.ended.done:
	case <-time.After(leaveTimeout):
	}
	_ = p.signal.conn.Close()
	<-p.ended.done
}

// read starts the only reader of the connection.
func (p *Participant) read() {
	p.reading.Do(func() {
		go func() {
			defer p.ended.set()
			for p.err == nil {
				message, err := p.signal.receive()
				if err != nil {
					p.err = fmt.Errorf("the signalling connection ended: %w", err)
					return
				}
				p.err = p.handle(message)
			}
		}()
	})
}

// handle applies a message. An error ends the session.
func (p *Participant) handle(message *livekit.SignalResponse) error {
	if leave := message.GetLeave(); leave != nil {
		return leftError(leave)
	}
	if p.Publisher == nil || p.Subscriber == nil { // closed before Start
		return nil
	}
	switch payload := message.GetMessage().(type) {
	case *livekit.SignalResponse_Answer:
		answer, _, _ := protosignalling.FromProtoSessionDescription(payload.Answer)
		if err := p.Publisher.setRemote(answer); err != nil {
			return fmt.Errorf("the server's answer: %w", err)
		}
	case *livekit.SignalResponse_Offer:
		offer, id, _ := protosignalling.FromProtoSessionDescription(payload.Offer)
		answer, err := p.Subscriber.answer(offer)
		if err != nil {
			return fmt.Errorf("the server's offer: %w", err)
		}
		return p.signal.send(p.protocol.SignalSdpAnswer(protosignalling.ToProtoSessionDescription(answer, id, nil)))
	case *livekit.SignalResponse_Trickle:
		candidate, err := protosignalling.FromProtoTrickle(payload.Trickle)
		if err != nil {
			return fmt.Errorf("the server's candidate: %w", err)
		}
		return p.transport(payload.Trickle.GetTarget()).trickle(candidate, payload.Trickle.GetFinal())
	case *livekit.SignalResponse_TrackPublished:
		p.mu.Lock()
		defer p.mu.Unlock()
		if accepted, ok := p.published[payload.TrackPublished.GetCid()]; ok {
			accepted.set()
		}
	}
	return nil
}

func (p *Participant) transport(target livekit.SignalTarget) *Transport {
	if target == livekit.SignalTarget_SUBSCRIBER {
		return p.Subscriber
	}
	return p.Publisher
}

func leftError(leave *livekit.LeaveRequest) error {
	return errors.New("the server ended the session: " + leave.GetReason().String())
}
