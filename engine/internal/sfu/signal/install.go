package signal

import (
	"github.com/livekit/livekit-server/pkg/service"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"

	"lkhub/engine/internal/lans"
	"lkhub/engine/internal/private"
)

// routerOf is the router with which signalling starts sessions.
func routerOf(server *service.LivekitServer) *messageRouter {
	return private.Field[messageRouter](*private.Field[*service.RTCService](server, "rtcService"), "router")
}

// TellByLAN puts a filter between signalling and media, where messages to clients are not encoded yet. It must be
// called before the server starts. If one of the fields is renamed, TestMediaTellsEachLANItsAddress fails.
func TellByLAN(server *service.LivekitServer, l lans.Networks) {
	router := routerOf(server)
	*router = lanRouter{*router, l}
	whip := private.Field[rpc.WHIPClient[livekit.NodeID]](*private.Field[*service.WHIPService](server, "whipService"), "client")
	*whip = lanWHIP{*whip, l}
}

// HideReplaced puts resumeRouter between signalling and media. It must be called before the server starts. If one of
// the fields is renamed, TestMediaFromStartToDrain fails.
func HideReplaced(server *service.LivekitServer, current currentSession) {
	router := routerOf(server)
	*router = resumeRouter{*router, current}
}

// AwaitOffers puts offerRouter between signalling and media. It must be called before the server starts. If one of the
// fields is renamed, TestMediaLetsClientsResumeThatDoNotOffer fails.
func AwaitOffers(server *service.LivekitServer, resume resumeSession) {
	router := routerOf(server)
	*router = newOfferRouter(*router, offerPatience, resume)
}

// BoundRequests puts allowanceRouter between signalling and media. It must be called before the server starts. If one
// of the fields is renamed, TestMediaKeepsNoMoreThanAClientMayAskFor fails.
func BoundRequests(server *service.LivekitServer) {
	router := routerOf(server)
	*router = newAllowanceRouter(*router)
}
