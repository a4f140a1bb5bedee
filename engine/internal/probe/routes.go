package probe

import (
	"maps"
	"slices"
	"strings"

	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/participant"
)

// route is one kind of path: what the participants are limited to, and what is said if the path is missing.
type route struct {
	participant.Route
	// needsServer: without an ICE server that the route allows, nothing can be tried.
	needsServer bool
	missing     string
}

var (
	udpNetworks = []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6}
	tcpNetworks = []webrtc.NetworkType{webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6}
)

// routes are the paths that can be asked for, by their name in the request.
var routes = map[string]route{
	"udp": {
		Route:   participant.Route{Networks: udpNetworks},
		missing: "no ICE over UDP offered",
	},
	"tcp": { // pion opens connections to the server's passive candidates
		Route:   participant.Route{Networks: tcpNetworks},
		missing: "no ICE over TCP offered",
	},
	"turn-udp": {
		Route:       participant.Route{Networks: udpNetworks, RelayOnly: true, Server: isTURN(stun.SchemeTypeTURN, stun.ProtoTypeUDP)},
		needsServer: true,
		missing:     "no TURN over UDP offered",
	},
	"turn-tls": { // the relay forwards UDP
		Route:       participant.Route{Networks: udpNetworks, RelayOnly: true, Server: isTURN(stun.SchemeTypeTURNS, stun.ProtoTypeTCP)},
		needsServer: true,
		missing:     "no TURN over TLS offered",
	},
}

var knownSchemes = map[string]bool{"ws": true, "wss": true, "http": true, "https": true}

func knownPaths() string { return strings.Join(slices.Sorted(maps.Keys(routes)), ", ") }

// isTURN allows the URLs of one kind of TURN. A URL that names no transport has its scheme's default.
func isTURN(scheme stun.SchemeType, transport stun.ProtoType) func(string) bool {
	return func(url string) bool {
		parsed, err := stun.ParseURI(url)
		return err == nil && parsed.Scheme == scheme && parsed.Proto == transport
	}
}
