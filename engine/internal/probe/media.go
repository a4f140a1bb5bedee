package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/participant"
)

const (
	packetInterval = 20 * time.Millisecond // Opus's usual frame
	packetTicks    = 960                   // the same in Opus's clock of 48 kHz
	maxPacket      = 1500

	// opusHeader begins an Opus packet of one 20 ms frame, so that every parser between the two ends accepts it.
	opusHeader = 0xF8

	// A camera's picture at 1.4 Mbit/s: bursts of packets as large as browsers make them.
	frameInterval   = time.Second / 30
	frameTicks      = 90_000 / 30
	packetsPerFrame = 5
	pictureSize     = 1160

	markSize    = 8
	trailerSize = markSize + 4 + 8
)

// vp8KeyFrame begins a frame's first packet: the payload descriptor with the start of a partition and a picture ID of
// 15 bits (RFC 7741, section 4.2), then the header of a key frame of 640 by 360 (RFC 6386, section 9.1). As all frames
// are key frames, the server can begin to forward at any of them.
var vp8KeyFrame = []byte{0x90, 0x80, 0x80, 0, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01}

// mark tells one publisher's packets from all others.
type mark [markSize]byte

func newMark() mark {
	var m mark
	_, _ = rand.Read(m[:]) // never fails
	return m
}

// trailer ends a payload: the mark, a sequence number and the time of sending. The server may rewrite the beginning of
// a payload.
func (m mark) trailer(sequence uint32, sent time.Time) []byte {
	buffer := make([]byte, 0, trailerSize)
	buffer = append(buffer, m[:]...)
	buffer = binary.BigEndian.AppendUint32(buffer, sequence)
	return binary.BigEndian.AppendUint64(buffer, uint64(sent.UnixNano()))
}

// read returns a payload's number and time of sending, if it has this mark.
func (m mark) read(payload []byte) (sequence uint32, sent time.Time, ok bool) {
	if len(payload) <= trailerSize {
		return 0, time.Time{}, false
	}
	trailer := payload[len(payload)-trailerSize:]
	if !bytes.Equal(trailer[:markSize], m[:]) {
		return 0, time.Time{}, false
	}
	trailer = trailer[markSize:]
	return binary.BigEndian.Uint32(trailer), time.Unix(0, int64(binary.BigEndian.Uint64(trailer[4:]))), true
}

// stream has one track's packets at both ends.
type stream struct {
	mark  mark
	track *webrtc.TrackLocalStaticRTP

	mu       sync.Mutex
	sent     uint32 // packets 0 to sent-1 have been sent
	first    uint32 // the first that arrived
	received map[uint32]struct{}
	transit  time.Duration   // of the last packet that arrived
	varied   []time.Duration // the differences between successive packets
	late     []time.Duration // by how much the sender woke too late
	arrived  chan struct{}   // closed with the first packet

	until uint32 // the last packet that is counted
}

func newStream(codec webrtc.RTPCodecCapability, id string) (*stream, error) {
	track, err := webrtc.NewTrackLocalStaticRTP(codec, id, "probe")
	if err != nil {
		return nil, err
	}
	return &stream{mark: newMark(), track: track, received: map[uint32]struct{}{}, arrived: make(chan struct{})}, nil
}

// newStreams are sound and picture.
func newStreams() (sound, picture *stream, err error) {
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	if sound, err = newStream(opus, "probe"); err != nil {
		return nil, nil, err
	}
	picture, err = newStream(vp8, "probe-picture")
	return sound, picture, err
}

// publications are what the publisher offers.
func publications(sound, picture *stream) []participant.Publication {
	const width, height = 640, 360
	bitrate := uint32(8 * packetsPerFrame * pictureSize * int(time.Second/frameInterval))
	return []participant.Publication{
		{Track: sound.track, Request: &livekit.AddTrackRequest{
			Name: "probe", Type: livekit.TrackType_AUDIO, Source: livekit.TrackSource_MICROPHONE,
			DisableRed: true, // one packet sent is one packet heard
		}},
		{Track: picture.track, Request: &livekit.AddTrackRequest{
			Name: "probe-picture", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA, Width: width, Height: height,
			Layers: []*livekit.VideoLayer{{Quality: livekit.VideoQuality_HIGH, Width: width, Height: height, Bitrate: bitrate}},
		}},
	}
}

// sendSound and sendPicture send until ctx ends. They need a connected transport.
func (s *stream) sendSound(ctx context.Context) {
	var last time.Time
	every(ctx, packetInterval, func(number uint32) {
		now := time.Now()
		if number > 0 {
			s.woke(now.Sub(last) - packetInterval)
		}
		last = now
		s.send(rtp.Header{Version: 2, Marker: number == 0, Timestamp: number * packetTicks}, []byte{opusHeader})
	})
}

func (s *stream) sendPicture(ctx context.Context) {
	every(ctx, frameInterval, func(number uint32) {
		for i := range packetsPerFrame {
			payload := make([]byte, pictureSize-trailerSize, pictureSize)
			copy(payload, vp8KeyFrame)
			payload[2], payload[3] = 0x80|byte(number>>8), byte(number)
			if i > 0 {
				payload[0] = 0x80 // goes on with the same partition
				clear(payload[4:len(vp8KeyFrame)])
			}
			s.send(rtp.Header{Version: 2, Marker: i == packetsPerFrame-1, Timestamp: number * frameTicks}, payload)
		}
	})
}

func (s *stream) woke(late time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, max(0, late))
}

func (s *stream) send(header rtp.Header, payload []byte) {
	s.mu.Lock()
	number := s.sent
	s.sent++
	s.mu.Unlock()
	header.SequenceNumber = uint16(number)
	// A packet that can't be sent is a lost one.
	_ = s.track.WriteRTP(&rtp.Packet{Header: header, Payload: append(payload, s.mark.trailer(number, time.Now())...)})
}

func every(ctx context.Context, interval time.Duration, do func(number uint32)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for number := uint32(0); ; number++ {
		do(number)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// receive counts a subscribed track's packets until the connection is closed.
func (s *stream) receive(track *webrtc.TrackRemote) {
	buffer := make([]byte, maxPacket)
	var packet rtp.Packet
	for {
		n, _, err := track.Read(buffer)
		if err != nil {
			return
		}
		if packet.Unmarshal(buffer[:n]) == nil {
			s.count(packet.Payload, time.Now())
		}
	}
}

func (s *stream) count(payload []byte, now time.Time) {
	number, sent, ok := s.mark.read(payload)
	if !ok {
		return
	}
	transit := now.Sub(sent) // both times are from this machine's clock
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.received) == 0 {
		s.first = number
		close(s.arrived)
	} else {
		s.varied = append(s.varied, (transit - s.transit).Abs())
	}
	s.transit = transit
	s.received[number] = struct{}{}
}

// jitter is the median difference between the transit times of successive packets; 0 for fewer than two. RFC 3550
// (section 6.4.1) uses a mean, for streams of minutes: in half a second, one pause of a busy machine would make up most
// of it.
func (s *stream) jitter() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return quantile(s.varied, 0.5)
}

// lateness is by how much this machine wakes the sender too late, without the worst tenth. Smaller effects of a line on
// packets can't be seen.
func (s *stream) lateness() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return quantile(s.late, 0.9)
}

// quantile returns 0 if there are no values.
func quantile(values []time.Duration, share float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(share*float64(len(sorted)-1))]
}

// lastSent is the number of the last packet that was sent.
func (s *stream) lastSent() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent - 1
}

// missing counts the packets from the first that arrived up to last: how many have not arrived, and of how many.
func (s *stream) missing(last uint32) (missing, of int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.received) == 0 {
		return 0, 0
	}
	for number := s.first; number <= last; number++ {
		of++
		if _, ok := s.received[number]; !ok {
			missing++
		}
	}
	return missing, of
}
