package load

import (
	"io"
	"sync"
	"time"

	"github.com/pion/transport/v4/packetio"
	"github.com/pion/webrtc/v4"
)

// sink counts what one subscriber receives. It takes the place of pion's buffer between decryption and a track's
// reader: the goroutine that decrypts a packet counts it, and the packet goes no further.
type sink struct {
	clock *clock

	mu      sync.Mutex
	streams int // that have delivered a stamped packet
	packets uint64
	bytes   uint64
	latency histogram
	changed chan struct{} // receives when streams grows
}

func newSink(clock *clock) *sink {
	return &sink{clock: clock, changed: make(chan struct{}, 1)}
}

func (s *sink) settings(engine *webrtc.SettingEngine) {
	engine.SetFireOnTrackBeforeFirstRTP(true) // nothing reads the first packet
	engine.BufferFactory = func(kind packetio.BufferPacketType, _ uint32) io.ReadWriteCloser {
		stream := &stream{done: make(chan struct{})}
		if kind == packetio.RTPBufferPacket {
			stream.sink = s
		}
		return stream
	}
}

func (s *sink) take(packet []byte, first bool) (stamped bool) {
	sent, ok := s.clock.sent(packet)
	if !ok {
		return false
	}
	measured, now := s.clock.measured(sent), s.clock.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if first {
		s.streams++
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
	if measured {
		s.packets++
		s.bytes += uint64(len(packet))
		s.latency.add(time.Duration(now - sent))
	}
	return true
}

func (s *sink) received() (streams int, packets uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams, s.packets
}

// stream is one SSRC's part of a sink. Without a sink it drops what it gets (RTCP).
type stream struct {
	sink   *sink
	begun  bool // pion writes from one goroutine
	ending sync.Once
	done   chan struct{}
}

func (s *stream) Write(packet []byte) (int, error) {
	if s.sink != nil && s.sink.take(packet, !s.begun) {
		s.begun = true
	}
	return len(packet), nil
}

// Read blocks, as there is nothing to read until the end.
func (s *stream) Read([]byte) (int, error) {
	<-s.done
	return 0, io.EOF
}

func (s *stream) Close() error {
	s.ending.Do(func() { close(s.done) })
	return nil
}
