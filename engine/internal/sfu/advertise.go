package sfu

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/livekit/mediatransportutil/pkg/rtcconfig"
	"github.com/pion/webrtc/v4"

	"lkhub/engine/internal/failure"
)

// Advertised says which address clients are told for each address of this machine that media is on. With node_ip,
// livekit.yaml can name only one address of each family for all of them.
type Advertised []advertisement

// advertisement is one address and the address that clients are told for it. An address can have several
// advertisements: for example its own, for clients within, and a router's, for clients outside.
type advertisement struct {
	local     netip.Addr
	externals []netip.Addr
}

func (a *Advertised) String() string {
	var all []string
	for _, address := range *a {
		for _, external := range address.externals {
			all = append(all, fmt.Sprintf("%s=%s", address.local, external))
		}
	}
	return strings.Join(all, " ")
}

// Set takes LOCAL=EXTERNAL. It may be called more than once for the same address.
func (a *Advertised) Set(text string) error {
	before, after, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("%q is not LOCAL=EXTERNAL, two IP addresses", text)
	}
	local, err := parseHost(before)
	if err != nil {
		return err
	}
	external, err := parseHost(after)
	if err != nil {
		return err
	}
	if local.Is4() != external.Is4() {
		return fmt.Errorf("%s and %s are of different families", local, external)
	}
	i := slices.IndexFunc(*a, func(known advertisement) bool { return known.local == local })
	if i < 0 {
		i = len(*a)
		*a = append(*a, advertisement{local: local})
	}
	if !slices.Contains((*a)[i].externals, external) {
		(*a)[i].externals = append((*a)[i].externals, external)
	}
	return nil
}

// parseHost parses an address that one machine can have.
func parseHost(text string) (netip.Addr, error) {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return address, fmt.Errorf("%q is no IP address", text)
	}
	if address.Is4In6() || address.Zone() != "" || address.IsUnspecified() || address.IsMulticast() {
		return address, fmt.Errorf("%s is no address that clients could be told", text)
	}
	return address, nil
}

// apply makes these the only candidates of every call, for ICE over UDP and TCP. It replaces what livekit.yaml says
// about addresses, and must be called before the server starts. A UDP port that all calls share also needs narrow.
func (a Advertised) apply(conf *rtcconfig.WebRTCConfig) error {
	if len(a) == 0 {
		return nil
	}
	var rules []webrtc.ICEAddressRewriteRule
	for _, address := range a {
		rule := webrtc.ICEAddressRewriteRule{
			Local: address.local.String(), AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace,
		}
		for _, external := range address.externals {
			rule.External = append(rule.External, external.String())
		}
		rules = append(rules, rule)
	}
	if err := conf.SettingEngine.SetICEAddressRewriteRules(rules...); err != nil {
		return failure.Usage("media: --advertise: %v", err)
	}
	conf.SettingEngine.SetIPFilter(a.allows)
	// With these LiveKit would ask other servers for its address, and tell some clients another one.
	conf.Configuration.ICEServers = nil
	conf.NAT1To1IPs = nil
	return nil
}

// narrow returns those of the addresses that media would listen on that are advertised. pion offers every address of a
// common UDP socket, whatever the filter says.
func (a Advertised) narrow(listening []net.Addr) ([]net.Addr, error) {
	if len(a) == 0 {
		return listening, nil
	}
	var kept []net.Addr
	for _, address := range listening {
		if a.allows(address.(*net.UDPAddr).IP) {
			kept = append(kept, address)
		}
	}
	if len(kept) == 0 {
		return nil, failure.New(failure.ExitMachine, "address-not-available", fmt.Sprintf(
			"media: --advertise %s: media can listen on none of these, but on %v", a.String(), listening))
	}
	return kept, nil
}

func (a Advertised) allows(ip net.IP) bool {
	address, ok := netip.AddrFromSlice(ip)
	return ok && slices.ContainsFunc(a, func(known advertisement) bool { return known.local == address.Unmap() })
}
