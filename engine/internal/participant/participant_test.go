package participant

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// signalServer answers the signalling path with play.
func signalServer(t *testing.T, play func(*websocket.Conn)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		play(conn)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func send(t *testing.T, conn *websocket.Conn, response *livekit.SignalResponse) {
	t.Helper()
	payload, err := proto.Marshal(response)
	if err == nil {
		err = conn.WriteMessage(websocket.BinaryMessage, payload)
	}
	if err != nil {
		t.Error(err)
	}
}

var welcome = &livekit.SignalResponse{Message: &livekit.SignalResponse_Join{Join: &livekit.JoinResponse{
	Room: &livekit.Room{Name: "den"},
}}}

func TestJoinGivesUpOnASilentServer(t *testing.T) {
	address := signalServer(t, func(conn *websocket.Conn) { _, _, _ = conn.ReadMessage() })
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := Join(ctx, Config{URL: address}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestJoinReportsALeave(t *testing.T) {
	address := signalServer(t, func(conn *websocket.Conn) {
		send(t, conn, &livekit.SignalResponse{Message: &livekit.SignalResponse_Leave{
			Leave: &livekit.LeaveRequest{Reason: livekit.DisconnectReason_ROOM_DELETED},
		}})
	})
	if _, err := Join(t.Context(), Config{URL: address}); err == nil || !strings.Contains(err.Error(), "ROOM_DELETED") {
		t.Errorf("got %v", err)
	}
}

func TestARefusalNeverHoldsTheToken(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "invalid token: "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), http.StatusUnauthorized)
	}))
	defer server.Close()
	_, err := Join(t.Context(), Config{URL: server.URL, Token: "sesame"})
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized || refused.Body != "invalid token: (token)" {
		t.Errorf("got %v", err)
	}
}

func TestCloseLeavesTheRoom(t *testing.T) {
	left := make(chan bool, 1)
	address := signalServer(t, func(conn *websocket.Conn) {
		send(t, conn, welcome)
		_, payload, err := conn.ReadMessage()
		request := &livekit.SignalRequest{}
		left <- err == nil && proto.Unmarshal(payload, request) == nil &&
			request.GetLeave().GetAction() == livekit.LeaveRequest_DISCONNECT
	})
	p, err := Join(t.Context(), Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	if room := p.Welcome().GetRoom().GetName(); room != "den" {
		t.Errorf("room %q", room)
	}
	p.Close()
	if !<-left {
		t.Error("no leave request came")
	}
}

func TestAServerThatEndsTheSessionIsNoticed(t *testing.T) {
	address := signalServer(t, func(conn *websocket.Conn) {
		send(t, conn, welcome)
		send(t, conn, &livekit.SignalResponse{Message: &livekit.SignalResponse_Leave{
			Leave: &livekit.LeaveRequest{Reason: livekit.DisconnectReason_DUPLICATE_IDENTITY},
		}})
		_, _, _ = conn.ReadMessage()
	})
	p, err := Join(t.Context(), Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Ended():
	case <-time.After(30 * time.Second):
		t.Fatal("not noticed")
	}
	if !strings.Contains(p.Err().Error(), "DUPLICATE_IDENTITY") {
		t.Errorf("got %v", p.Err())
	}
}
