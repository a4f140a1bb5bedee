package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	packetInterval = 20 * time.Millisecond // Opus's usual frame
	packetTicks    = 960                   // the same in Opus's clock of 48 kHz
	maxPacket      = 1500

	// opusHeader begins an Opus packet of one 20 ms frame, so that whatever parses it on the way is content.
	opusHeader = 0xF8

	headerSize  = 1
	markSize    = 8
	payloadSize = headerSize + markSize + 4 + 8
)

// mark tells one publisher's packets from all others.
type mark [markSize]byte

func newMark() mark {
	var m mark
	_, _ = rand.Read(m[:]) // never fails
	return m
}

// payload is an Opus packet that carries the mark, a sequence number and when it was sent.
func (m mark) payload(sequence uint32, sent time.Time) []byte {
	buffer := make([]byte, 0, payloadSize)
	buffer = append(buffer, opusHeader)
	buffer = append(buffer, m[:]...)
	buffer = binary.BigEndian.AppendUint32(buffer, sequence)
	return binary.BigEndian.AppendUint64(buffer, uint64(sent.UnixNano()))
}

// sequence returns the number of a payload that carries this mark.
func (m mark) sequence(payload []byte) (uint32, bool) {
	if len(payload) != payloadSize || !bytes.Equal(payload[headerSize:headerSize+markSize], m[:]) {
		return 0, false
	}
	return binary.BigEndian.Uint32(payload[headerSize+markSize:]), true
}

// stream is one publisher's packets at both ends.
type stream struct {
	mark  mark
	track *webrtc.TrackLocalStaticRTP

	mu       sync.Mutex
	sent     uint32 // packets 0 to sent-1 have been sent
	first    uint32 // the first that arrived
	received map[uint32]struct{}
	arrived  chan struct{} // closed with the first
}

func newStream() (*stream, error) {
	codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	track, err := webrtc.NewTrackLocalStaticRTP(codec, "probe", "probe")
	if err != nil {
		return nil, err
	}
	return &stream{mark: newMark(), track: track, received: map[uint32]struct{}{}, arrived: make(chan struct{})}, nil
}

// send sends until ctx ends. It needs a connected transport.
func (s *stream) send(ctx context.Context) {
	ticker := time.NewTicker(packetInterval)
	defer ticker.Stop()
	for {
		s.mu.Lock()
		number := s.sent
		s.sent++
		s.mu.Unlock()
		// A packet that can't be sent is a lost one.
		_ = s.track.WriteRTP(&rtp.Packet{
			Header:  rtp.Header{Version: 2, Marker: number == 0, SequenceNumber: uint16(number), Timestamp: number * packetTicks},
			Payload: s.mark.payload(number, time.Now()),
		})
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// receive counts a subscribed track's packets until its connection is closed.
func (s *stream) receive(track *webrtc.TrackRemote) {
	buffer := make([]byte, maxPacket)
	var packet rtp.Packet
	for {
		n, _, err := track.Read(buffer)
		if err != nil {
			return
		}
		if packet.Unmarshal(buffer[:n]) == nil {
			s.count(packet.Payload)
		}
	}
}

func (s *stream) count(payload []byte) {
	number, ok := s.mark.sequence(payload)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.received) == 0 {
		s.first = number
		close(s.arrived)
	}
	s.received[number] = struct{}{}
}

// lastSent is the number of the last packet that was sent.
func (s *stream) lastSent() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent - 1
}

// missing is how many of the packets from the first that arrived to last, and of how many, have not arrived.
func (s *stream) missing(last uint32) (missing, of int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for number := s.first; number <= last; number++ {
		of++
		if _, ok := s.received[number]; !ok {
			missing++
		}
	}
	return missing, of
}
