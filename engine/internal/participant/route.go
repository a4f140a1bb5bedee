package participant

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// Route confines a participant to some kinds of ICE path. The zero Route allows nothing.
type Route struct {
	// Networks are the candidates' transports, of both ends.
	Networks []webrtc.NetworkType
	// RelayOnly keeps no local candidates but those of TURN servers.
	RelayOnly bool
	// Server reports whether an ICE server's URL may be contacted; nil allows none. Servers name STUN servers of third
	// parties, so only URLs that were asked for are kept.
	Server func(url string) bool
	// Loopback allows 127.0.0.1 and ::1 on both ends. Only a server on this machine can mean them.
	Loopback bool
	// Leads has the addresses of the server's candidates that are to be reached at another address from here: a machine
	// behind a NAT may not reach itself by its outside address.
	Leads map[netip.Addr]netip.Addr
	// Unasked is how long the server's checks from an address that it doesn't offer are rejected, as a NAT does; 0: not
	// at all.
	Unasked time.Duration
	// Untold is how long the server is not told the publisher's addresses, so that it can't send first. A firewall that
	// drops what clients send lets in a client to which the server has sent before. To a client behind a NAT the server
	// can't send first. 0: not at all.
	Untold time.Duration
}

// ICEServers keeps the URLs that the route allows, with their credentials.
func (r Route) ICEServers(offered []*livekit.ICEServer) []webrtc.ICEServer {
	var kept []webrtc.ICEServer
	for _, server := range offered {
		var urls []string
		for _, url := range server.GetUrls() {
			if r.Server != nil && r.Server(url) {
				urls = append(urls, url)
			}
		}
		if len(urls) > 0 {
			kept = append(kept, webrtc.ICEServer{
				URLs: urls, Username: server.GetUsername(), Credential: server.GetCredential(),
			})
		}
	}
	return kept
}

// Allows reports whether the server's candidate may be tried. A candidate that is a name (mDNS) never is, because
// looking it up would send a packet to other machines.
func (r Route) Allows(remote ice.Candidate) bool {
	address, err := netip.ParseAddr(remote.Address())
	if err != nil || remote.TCPType() == ice.TCPTypeActive {
		return false
	}
	if address.Unmap().IsLoopback() && !r.Loopback {
		return false
	}
	network, err := webrtc.NewNetworkType(remote.NetworkType().String())
	return err == nil && slices.Contains(r.Networks, network)
}

// lead returns the server's candidate with the address at which it is reached from here.
func (r Route) lead(candidate string) (string, ice.Candidate, error) {
	parsed, err := ice.UnmarshalCandidate(candidate)
	if err != nil {
		return "", nil, fmt.Errorf("the server's candidate %q: %w", candidate, err)
	}
	address, err := netip.ParseAddr(parsed.Address())
	if err != nil {
		return candidate, parsed, nil
	}
	here, ok := r.Leads[address.Unmap()]
	if !ok {
		return candidate, parsed, nil
	}
	// RFC 8839, section 5.1: foundation, component, transport, priority, address, …
	fields := strings.Fields(candidate)
	fields[4] = here.String()
	candidate = strings.Join(fields, " ")
	parsed, err = ice.UnmarshalCandidate(candidate)
	return candidate, parsed, err
}

func (r Route) policy() webrtc.ICETransportPolicy {
	if r.RelayOnly {
		return webrtc.ICETransportPolicyRelay
	}
	return webrtc.ICETransportPolicyAll
}

// SameMachine reports whether an address is one of this machine's own.
func SameMachine(address netip.Addr) bool {
	if address.IsLoopback() {
		return true
	}
	own, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(own, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr() == address
	})
}
