package relay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// maxFrame is the largest message that pion's server reads: a datagram of the usual MTU and what TURN adds to it.
	// pion would drop a larger one, which no WebRTC client sends.
	maxFrame = 1599

	stunHeader    = 20
	stunCookie    = 0x2112A442
	channelHeader = 4

	// The first two bits of a message (RFC 8656, section 12).
	kindSTUN        = 0
	kindChannelData = 1
)

var errNotTURN = errors.New("neither STUN nor ChannelData, or larger than any packet")

// stream is one client's connection. Each Read returns one TURN message. pion has its own code that cuts a byte stream
// (turn/v5 internal/proto/stun_conn.go), but it adds to the 16-bit length that a client names. With some lengths it
// loops for ever, and it calls itself once more for each piece in which a message arrives.
type stream struct {
	net.Conn
	client   *net.TCPAddr
	listener *streamListener
	idle     *time.Timer
	reader   *bufio.Reader
	err      error // of the last Read

	closing sync.Once
}

// newStream needs the listener's lock, since the timer may fire before the listener knows the stream.
func newStream(conn net.Conn, client *net.TCPAddr, listener *streamListener) *stream {
	s := &stream{Conn: conn, client: client, listener: listener, reader: bufio.NewReaderSize(conn, maxFrame)}
	s.idle = time.AfterFunc(listener.limits.idle, func() { _ = s.Close() })
	return s
}

// Read has one caller: pion's loop for the connection.
func (s *stream) Read(buffer []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	var n int
	if n, s.err = readFrame(s.reader, buffer); s.err != nil {
		return 0, s.err
	}
	return n, nil
}

// readFrame reads one message, including its padding.
func readFrame(r *bufio.Reader, into []byte) (int, error) {
	head, err := r.Peek(channelHeader)
	if err != nil {
		return 0, err
	}
	kind, length := head[0]>>6, int(binary.BigEndian.Uint16(head[2:4]))
	size := stunHeader + length
	if kind == kindChannelData {
		size = channelHeader + (length+3)/4*4
	}
	if kind > kindChannelData || size%4 != 0 || size > min(maxFrame, len(into)) {
		return 0, errNotTURN
	}
	frame, err := r.Peek(size)
	if err != nil {
		return 0, err
	}
	if hasCookie := size > 8 && binary.BigEndian.Uint32(frame[4:8]) == stunCookie; hasCookie != (kind == kindSTUN) {
		return 0, errNotTURN // pion looks at the cookie first
	}
	copy(into, frame)
	return r.Discard(size)
}

// Write hides the error of a client that has gone, which is common. Otherwise pion would log an error for each packet
// until Read returns the error.
func (s *stream) Write(packet []byte) (int, error) {
	_ = s.SetWriteDeadline(time.Now().Add(s.listener.limits.write))
	if _, err := s.Conn.Write(packet); err != nil {
		_ = s.Close() // after half a message the stream has lost its framing
	}
	return len(packet), nil
}

// RemoteAddr returns the same pointer each time, because streams are found by it.
func (s *stream) RemoteAddr() net.Addr { return s.client }

// LocalAddr has the family of the relay address, for the same reason as sameFamily.
func (s *stream) LocalAddr() net.Addr { return s.listener.local }

func (s *stream) allocated() { s.idle.Stop() }

func (s *stream) released() { s.idle.Reset(s.listener.limits.idle) }

// Close returns no error, since the caller can't do anything about it: TLS can't say goodbye to a client that has gone.
func (s *stream) Close() error {
	s.closing.Do(func() {
		s.listener.left(s)
		_ = s.Conn.Close()
	})
	return nil
}
