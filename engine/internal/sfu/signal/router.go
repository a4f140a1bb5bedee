// Package signal stands between signalling and media, where upstream's messages are not encoded yet. It limits what a
// client may ask for, repairs what upstream loses, and tells each client only the addresses of its own LAN.
package signal

import (
	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/livekit-server/pkg/rtc/types"
)

// The types of upstream's signalling.
type (
	messageRouter   = routing.MessageRouter
	messageSource   = routing.MessageSource
	messageSink     = routing.MessageSink
	participantInit = routing.ParticipantInit
	protocolVersion = types.ProtocolVersion
	startedSignal   = routing.StartParticipantSignalResults
)
