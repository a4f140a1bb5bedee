// Package signal stands between signalling and media, where upstream's messages are not encoded yet: it bounds what a client
// may ask for, mends what upstream loses, and tells each client the addresses of its own LAN.
package signal

import (
	"github.com/livekit/livekit-server/pkg/routing"
	"github.com/livekit/livekit-server/pkg/rtc/types"
)

// What upstream's signalling is made of.
type (
	messageRouter   = routing.MessageRouter
	messageSource   = routing.MessageSource
	messageSink     = routing.MessageSink
	participantInit = routing.ParticipantInit
	protocolVersion = types.ProtocolVersion
	startedSignal   = routing.StartParticipantSignalResults
)
