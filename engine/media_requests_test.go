package main

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"

	"lkhub/engine/internal/calltest"
	"lkhub/engine/internal/enginetest"
)

func TestMediaReadsMoreMessagesThanItHasRoomFor(t *testing.T) {
	t.Parallel()
	server := startSFU(t, enginetest.FreePort(t), "0", "")
	conn := openSignalling(t, server.URL+"/rtc", calltest.Token(t, calltest.Secret, t.Name(), "talks"), url.Values{"protocol": {"16"}})
	_ = conn.SetWriteDeadline(time.Now().Add(enginetest.Patience))
	for i := range 5000 {
		candidate := fmt.Sprintf(`{"candidate":"candidate:1 1 udp 2122194687 192.0.2.1 %d typ host","sdpMLineIndex":0}`, 1+i)
		sendRequest(t, conn, &livekit.SignalRequest{Message: &livekit.SignalRequest_Trickle{Trickle: &livekit.TrickleRequest{CandidateInit: candidate}}})
	}
	sendRequest(t, conn, &livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateMetadata{
		UpdateMetadata: &livekit.UpdateParticipantMetadata{Metadata: "after all that", RequestId: 42},
	}})
	_ = conn.SetReadDeadline(time.Now().Add(enginetest.Patience))
	for {
		response, err := readResponse(conn)
		if err != nil {
			t.Fatalf("waiting for an answer to the last message: %v", err)
		}
		if response.GetRequestResponse().GetRequestId() == 42 {
			return
		}
	}
}
