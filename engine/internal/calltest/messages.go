package calltest

import (
	"fmt"

	"github.com/livekit/protocol/livekit"
)

// TrackNames returns different track names.
func TrackNames(first, count int) []string {
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprint("TR_", first+i)
	}
	return names
}

// Subscription asks for tracks.
func Subscription(tracks ...string) *livekit.SignalRequest {
	update := &livekit.UpdateSubscription{TrackSids: tracks, Subscribe: true}
	return &livekit.SignalRequest{Message: &livekit.SignalRequest_Subscription{Subscription: update}}
}

// Ping makes messages that can be told apart by their number.
func Ping(number int64) *livekit.SignalRequest {
	return &livekit.SignalRequest{Message: &livekit.SignalRequest_Ping{Ping: number}}
}
