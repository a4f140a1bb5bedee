package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// dialTimeout is for one connection, including the proxy's own attempts to reach the echo.
const dialTimeout = 10 * time.Second

// talk is one connection, with one message on its way at a time.
type talk struct {
	clock     *clock
	conn      *websocket.Conn
	roundTrip histogram
}

func openTalk(ctx context.Context, clock *clock, config SignalConfig) (*talk, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := websocket.Dialer{TLSClientConfig: config.tls()}
	conn, response, err := dialer.DialContext(ctx, config.URL, nil)
	if errors.Is(err, websocket.ErrBadHandshake) {
		return nil, fmt.Errorf("HTTP %s", response.Status)
	}
	return &talk{clock: clock, conn: conn}, err
}

// run ends with the measured time.
func (t *talk) run(message []byte) error {
	for {
		sent := t.clock.now()
		if sent >= t.clock.end.Load() {
			return nil
		}
		if err := t.conn.WriteMessage(websocket.BinaryMessage, message); err != nil {
			return err
		}
		if err := passMessage(t.conn, nil); err != nil {
			return err
		}
		if t.clock.measured(sent) {
			t.roundTrip.add(time.Duration(t.clock.now() - sent))
		}
	}
}

// signalMessage is the message that clients send most while they join: a candidate, as Chromium writes it.
func signalMessage() ([]byte, error) {
	return proto.Marshal(&livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{
		Target: livekit.SignalTarget_PUBLISHER,
		CandidateInit: `{"candidate":"candidate:1966762133 1 udp 2122260223 192.168.1.20 54321 typ host generation 0 ` +
			`ufrag sXP5 network-id 1 network-cost 10","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"sXP5"}`,
	}}})
}
