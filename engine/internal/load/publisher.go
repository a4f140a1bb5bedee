package load

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/participant"
)

const (
	framesPerSecond = 30
	framesPerKey    = 90 // a key frame every three seconds, besides those that the server asks for
	videoClock      = 90_000
	maxChunk        = 1100 // of a packet: 1.5 Mbit/s make six packets a frame, as encoders do
	vp8Descriptor   = 4

	audioInterval = 20 * time.Millisecond
	audioTicks    = 960
	audioSize     = 80 // 32 kbit/s
	opusHeader    = 0xF8
)

// counter is how much one track has sent in the measured time.
type counter struct{ packets, bytes atomic.Uint64 }

// source is one publisher's media.
type source struct {
	clock        *clock
	frameSize    int
	audio, video *webrtc.TrackLocalStaticRTP
	keyWanted    atomic.Bool
	counter
}

func newSource(clock *clock, kbps int) (*source, error) {
	s := &source{clock: clock, frameSize: kbps * 1000 / 8 / framesPerSecond}
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: videoClock}
	var err error
	if s.audio, err = webrtc.NewTrackLocalStaticRTP(opus, "audio", "load"); err == nil && kbps > 0 {
		s.video, err = webrtc.NewTrackLocalStaticRTP(vp8, "video", "load")
	}
	return s, err
}

func (s *source) publications() []participant.Publication {
	publications := []participant.Publication{{Track: s.audio, Request: &livekit.AddTrackRequest{
		Name: "audio", Type: livekit.TrackType_AUDIO, Source: livekit.TrackSource_MICROPHONE, DisableRed: true,
	}}}
	if s.video == nil {
		return publications
	}
	const width, height = 1280, 720
	return append(publications, participant.Publication{
		Track: s.video,
		Request: &livekit.AddTrackRequest{
			Name: "video", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA, Width: width, Height: height,
			Layers: []*livekit.VideoLayer{{
				Quality: livekit.VideoQuality_HIGH, Width: width, Height: height,
				Bitrate: uint32(s.frameSize * 8 * framesPerSecond),
			}},
		},
		OnRTCP: func(packets []rtcp.Packet) {
			for _, packet := range packets {
				switch packet.(type) {
				case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
					s.keyWanted.Store(true)
				}
			}
		},
	})
}

// transportWide numbers sent packets as browsers do, and as the server's congestion feedback expects it.
func transportWide() ([]interceptor.Factory, error) {
	numbering, err := twcc.NewHeaderExtensionInterceptor()
	if err != nil {
		return nil, fmt.Errorf("transport-wide numbering: %w", err)
	}
	return []interceptor.Factory{numbering}, nil
}

// sendAudio and sendVideo send until ctx ends.
func (s *source) sendAudio(ctx context.Context) {
	packet := rtp.Packet{Header: rtp.Header{Version: 2}, Payload: make([]byte, audioSize)}
	packet.Payload[0] = opusHeader
	every(ctx, audioInterval, func(int) {
		packet.SequenceNumber++
		packet.Timestamp += audioTicks
		s.send(s.audio, &packet)
	})
}

func (s *source) sendVideo(ctx context.Context) {
	if s.video == nil {
		return
	}
	frame := newVP8Frame(s.frameSize)
	packet := rtp.Packet{Header: rtp.Header{Version: 2}}
	every(ctx, time.Second/framesPerSecond, func(number int) {
		key := s.keyWanted.Swap(false) || number%framesPerKey == 0
		packet.Timestamp += videoClock / framesPerSecond
		payloads := frame.payloads(uint16(number), key)
		for i, payload := range payloads {
			packet.SequenceNumber++
			packet.Marker = i == len(payloads)-1
			packet.Payload = payload
			s.send(s.video, &packet)
		}
	})
}

func (s *source) send(track *webrtc.TrackLocalStaticRTP, packet *rtp.Packet) {
	sent := s.clock.stamp(packet.Payload)
	// The packet is counted before it is sent, since it may arrive at once. A packet that can't be sent is counted too,
	// as lost.
	if s.clock.measured(sent) {
		s.packets.Add(1)
		s.bytes.Add(uint64(packet.MarshalSize()))
	}
	_ = track.WriteRTP(packet)
}

// every calls do at a steady rate. It catches up with late calls, so that the rate holds.
func every(ctx context.Context, interval time.Duration, do func(number int)) {
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for number := 0; ; number++ {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		do(number)
		timer.Reset(time.Until(begin.Add(time.Duration(number+1) * interval)))
	}
}

// vp8Frame has a frame's packets, which are made once and sent again and again.
type vp8Frame struct{ packets [][]byte }

func newVP8Frame(size int) *vp8Frame {
	const least = 10 + stampSize // a key frame's header and the stamp
	chunks := max(1, (size+maxChunk-1)/maxChunk)
	frame := &vp8Frame{}
	for range chunks {
		frame.packets = append(frame.packets, make([]byte, vp8Descriptor+max(least, size/chunks)))
	}
	return frame
}

// payloads writes the payload descriptor with a 15-bit picture ID (RFC 7741, 4.2) and the frame's header (RFC 6386, 9.1).
func (f *vp8Frame) payloads(picture uint16, key bool) [][]byte {
	for i, packet := range f.packets {
		packet[0] = 0x80 // X
		if i == 0 {
			packet[0] |= 0x10 // S: a partition begins
		}
		packet[1] = 0x80 // I
		packet[2] = 0x80 | byte(picture>>8)
		packet[3] = byte(picture)
	}
	header := f.packets[0][vp8Descriptor:]
	if key {
		copy(header, []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02}) // 1280 by 720
	} else {
		copy(header, []byte{0x11, 0, 0})
	}
	return f.packets
}
