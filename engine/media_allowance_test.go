package main

import (
	"errors"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/enginetest"
)

func TestMediaKeepsNoMoreThanAClientMayAskFor(t *testing.T) {
	t.Parallel()
	server := startSFU(t, enginetest.FreePort(t), "0", "")
	query := url.Values{"access_token": {calltest.Token(t, calltest.Secret, t.Name(), "asks")}, "protocol": {"16"}}
	conn, _, err := websocket.DefaultDialer.Dial(server.URL+"/rtc?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sendRequest(t, conn, calltest.Subscription(calltest.TrackNames(0, 20_000)...))
	sendRequest(t, conn, calltest.Ping(1))
	_ = conn.SetReadDeadline(time.Now().Add(enginetest.Patience))
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatal("the connection goes on, and says nothing")
			}
			return
		}
		response := &livekit.SignalResponse{}
		if err := proto.Unmarshal(data, response); err != nil {
			t.Fatal(err)
		}
		if response.GetPong() != 0 {
			t.Fatal("the client is heard on")
		}
	}
}
