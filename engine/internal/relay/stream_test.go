package relay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pion/stun/v3"

	"lkhub/engine/internal/turntest"
)

// stunMessage is a binding request with this many bytes after its header. The header has the same length.
func stunMessage(t testing.TB, length int) []byte {
	t.Helper()
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		t.Fatal(err)
	}
	return claiming(append(request.Raw, make([]byte, length)...), length)
}

// claiming returns the message with another length in its header.
func claiming(message []byte, length int) []byte {
	message = bytes.Clone(message)
	binary.BigEndian.PutUint16(message[2:4], uint16(length))
	return message
}

func channelData(number uint16, data string) []byte {
	message := binary.BigEndian.AppendUint16(nil, number)
	message = binary.BigEndian.AppendUint16(message, uint16(len(data)))
	message = append(message, data...)
	return append(message, make([]byte, (4-len(data)%4)%4)...)
}

// The next message in the stream must come out whole as well.
func TestReadFrame(t *testing.T) {
	next := stunMessage(t, 8)
	noCookie := bytes.Clone(next)
	noCookie[4] ^= 1
	for _, c := range []struct {
		name  string
		bytes []byte
		err   error // nil: the text is one message
	}{
		{"STUN", stunMessage(t, 0), nil},
		{"STUN with attributes", stunMessage(t, 100), nil},
		{"the largest", stunMessage(t, maxFrame/4*4-stunHeader), nil},
		{"channel data", channelData(0x4000, "four"), nil},
		{"channel data with padding", channelData(0x7fff, "sixsix"), nil},
		{"channel data with one byte", channelData(0x4001, "1"), nil},
		{"empty channel data", channelData(0x4000, ""), nil},
		{"one too large", stunMessage(t, maxFrame/4*4-stunHeader+4), errNotTURN},
		{"a length with which pion spins", claiming(next, 65516), errNotTURN},
		{"the largest length", claiming(next, 65535), errNotTURN},
		{"a length that is no multiple of four", claiming(next, 7), errNotTURN},
		{"channel data with which pion spins", claiming(channelData(0x4000, "data"), 65532), errNotTURN},
		{"STUN without its cookie", noCookie, errNotTURN},
		{"channel data that looks like STUN", channelData(0x4000, "\x21\x12\xa4\x42 and so on"), errNotTURN},
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), errNotTURN},
		{"TLS", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), errNotTURN},
		{"RTP", []byte("\x80\x60\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01"), errNotTURN},
		{"nothing", nil, io.EOF},
		{"half a header", next[:10], io.EOF},
		{"half a message", next[:24], io.EOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := c.bytes
			if c.err == nil {
				stream = append(bytes.Clone(stream), next...)
			}
			for name, source := range map[string]io.Reader{
				"at once": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
			} {
				reader, buffer := bufio.NewReaderSize(source, maxFrame), make([]byte, 1600)
				n, err := readFrame(reader, buffer)
				if !errors.Is(err, c.err) || (err == nil && !bytes.Equal(buffer[:n], c.bytes)) {
					t.Fatalf("%s: %d bytes, %v", name, n, err)
				}
				if err != nil {
					continue
				}
				if n, err := readFrame(reader, buffer); err != nil || !bytes.Equal(buffer[:n], next) {
					t.Errorf("%s: then %d bytes, %v", name, n, err)
				}
			}
		})
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(stunMessage(f, 8))
	f.Add(channelData(0x4000, "data"))
	f.Add([]byte{0, 0, 0xff, 0xec})
	f.Fuzz(func(t *testing.T, stream []byte) {
		reader, buffer := bufio.NewReaderSize(bytes.NewReader(stream), maxFrame), make([]byte, 1600)
		for {
			n, err := readFrame(reader, buffer)
			if err != nil {
				return
			}
			if n < channelHeader || n > maxFrame { // 0 without an error would loop for ever
				t.Fatalf("a message of %d bytes", n)
			}
		}
	})
}

// gone is a connection whose other end has gone.
type gone struct{ net.Conn }

func (gone) Write([]byte) (int, error)        { return 0, syscall.EPIPE }
func (gone) SetWriteDeadline(time.Time) error { return nil }
func (gone) Close() error                     { return syscall.ECONNRESET }

func TestAClientThatHasGoneIsNoError(t *testing.T) {
	listener := newStreamListener(turntest.NewHanded(), Config{RelayPorts: PortRange{1, 2}}, usualLimits)
	stream := listener.admit(turntest.As(gone{}, &net.TCPAddr{}))
	if n, err := stream.Write(make([]byte, 100)); n != 100 || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	if listener.connections() != 0 {
		t.Error("it is still counted")
	}
	if err := stream.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
