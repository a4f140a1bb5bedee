package participant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/server-sdk-go/v2/signalling"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	// ProtocolVersion is what this participant understands: subscriber PeerConnection first (3), tracks in the first
	// offer (8), and leave requests with an action (13). It understands no later addition that needs an answer.
	ProtocolVersion = 15
	// ClientVersion is sent with sdk=go, which the signalling library puts into the query. The server's rules go by
	// both.
	ClientVersion = "2.18.1"

	// maxMessage is far above any answer (a description of 500 tracks has 200 kB), and limits what a wrong server
	// costs.
	maxMessage = 4 << 20
	// maxRefusal is how much is read of the reason for a refused join.
	maxRefusal = 4 << 10
	// writeTimeout is for a peer that does not read. Only after many messages is its TCP window full.
	writeTimeout = 5 * time.Second
)

// RefusedError is the HTTP answer of a server that did not open the signalling connection. LiveKit 1.13.5 repeats the
// token in it; the token is removed.
type RefusedError struct {
	Status int
	Header http.Header
	Body   string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("HTTP %d %s: %s", e.Status, http.StatusText(e.Status), e.Body)
}

// signal is the WebSocket of one participant. The signalling library's own transport is not used: it goes through the
// environment's HTTP proxy, waits for the first message without a limit, hides why a server refused, and drops the mark
// of the last ICE candidate.
type signal struct {
	conn *websocket.Conn
	mu   sync.Mutex // gorilla allows one writer
}

// dialSignal connects and returns the server's first message, all within ctx.
func dialSignal(ctx context.Context, config Config, protocol signalling.Signalling) (*signal, *livekit.SignalResponse, error) {
	params := &signalling.ConnectParams{AutoSubscribe: config.AutoSubscribe}
	query, err := protocol.ConnectQueryParams(ClientVersion, ProtocolVersion, params, nil, webrtc.SessionDescription{}, "")
	if err != nil {
		return nil, nil, err
	}
	url := signalling.ToWebsocketURL(config.URL) + protocol.Path() + "?" + query
	dialer := websocket.Dialer{NetDialContext: config.Dial, TLSClientConfig: config.TLS}
	conn, response, err := dialer.DialContext(ctx, url, signalling.NewHTTPHeaderWithToken(config.Token))
	if err != nil {
		if errors.Is(err, websocket.ErrBadHandshake) && response != nil {
			body, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
			reason := strings.ReplaceAll(strings.TrimSpace(string(body)), config.Token, "(token)")
			return nil, nil, &RefusedError{response.StatusCode, response.Header, reason}
		}
		return nil, nil, err
	}
	conn.SetReadLimit(maxMessage)
	s := &signal{conn: conn}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	first, err := s.receive()
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return s, first, nil
}

func (s *signal) send(message proto.Message) error {
	payload, err := proto.Marshal(message)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return s.conn.WriteMessage(websocket.BinaryMessage, payload)
}

func (s *signal) receive() (*livekit.SignalResponse, error) {
	kind, payload, err := s.conn.ReadMessage()
	if err != nil {
		return nil, err
	}
	message := &livekit.SignalResponse{}
	if kind == websocket.TextMessage {
		return message, protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(payload, message)
	}
	return message, proto.Unmarshal(payload, message)
}
