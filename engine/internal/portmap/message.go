// Package portmap asks the home router to send some of its ports to this machine, by PCP, NAT-PMP or UPnP. It sends
// requests to the default gateway only, and stores nothing: the request contains what was granted before, and with
// which nonce.
//
// UPnP uses github.com/huin/goupnp. PCP (RFC 6887) and NAT-PMP (RFC 6886) are our own code, with one fixed message each
// over one socket. No maintained Go library makes PCP requests for a nonce and a port that the caller names:
// tailscale.com's port mapper chooses its own nonces, lease of two hours and port, and is for UDP.
// github.com/jackpal/go-nat-pmp says only in English whether a router refused or does not speak NAT-PMP at all.
package portmap

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"lkhub/engine/internal/message"
)

// The actions of a request.
const (
	// ActionMap asks for exactly the ports of the request, and gives back the record's ports that are not among them.
	// It tries each protocol that routers speak, the record's first.
	ActionMap = "map"
	// ActionRenew asks for the record's ports again, also after the router has lost them or this machine's address has
	// changed. It asks only the record's router, and only in the record's protocol unless this machine's address has
	// changed.
	ActionRenew = "renew"
	// ActionUnmap gives the ports of the record back.
	ActionUnmap = "unmap"
)

// The protocols, as records name them.
const (
	meansPCP    = "pcp"
	meansNATPMP = "nat-pmp"
	meansUPnP   = "upnp"
)

// Reason is what became of a port, or why a request failed.
type Reason string

// The reasons. A Failure has a reason that is marked "whole request".
const (
	Granted   Reason = "granted"    // the router sends the port here
	GivenBack Reason = "given-back" // the router no longer does
	TakenBack Reason = "taken-back" // it was granted, and given back because another port was not granted
	NotAsked  Reason = "not-asked"  // nothing was sent for it, because another port had failed

	OtherPort Reason = "other-port" // granted at another port than clients are told; whole request too
	Refused   Reason = "refused"    // the router understood and said no; whole request too
	NoAnswer  Reason = "no-answer"  // the router speaks none of the protocols; whole request too

	Stopped     Reason = "stopped-answering" // whole request: some ports were granted, then the router stopped answering
	NotReturned Reason = "kept"              // whole request: the router did not take ports back
	NoRouter    Reason = "no-router"         // whole request: there is no IPv4 default route
	OtherRouter Reason = "other-router"      // whole request: the record's router is not this machine's
)

// Port is a port to be mapped to the external port with the same number. Name is what a UPnP router shows for it.
type Port struct {
	Protocol string `json:"protocol"` // "udp" or "tcp"
	Port     uint16 `json:"port"`
	Name     string `json:"name"`
}

func (p Port) String() string { return fmt.Sprintf("%d/%s", p.Port, p.Protocol) }

// key has the fields that distinguish two ports.
func (p Port) key() Port { return Port{Protocol: p.Protocol, Port: p.Port} }

// Recorded is a port that was granted before. If Own is false, another program had set it up, and it stays.
type Recorded struct {
	Port
	Own bool `json:"own"`
}

// Record is what was granted before: by which router, to which address of this machine, and in which protocol. Nonce is
// 12 bytes in hex, by which a PCP router knows that the mappings are ours; it is "" with other protocols.
type Record struct {
	Gateway  netip.Addr `json:"gateway"`
	Local    netip.Addr `json:"local"`
	Means    string     `json:"means"`
	Nonce    string     `json:"nonce"`
	Mappings []Recorded `json:"mappings"`
}

// Request is what to ask of the router. Seconds is the lease. Mappings is for ActionMap only.
type Request struct {
	Version  int     `json:"version"`
	Action   string  `json:"action"`
	Seconds  uint32  `json:"seconds"`
	Mappings []Port  `json:"mappings"`
	Record   *Record `json:"record"`
}

// Result is the outcome for one port. Seconds is the lease; nil: it does not end.
type Result struct {
	Port
	Reason       Reason  `json:"reason"`
	Text         string  `json:"text"`
	ExternalPort uint16  `json:"external_port"`
	Seconds      *uint32 `json:"seconds"`
	Own          bool    `json:"own"`
}

// Failure is why the request as a whole failed.
type Failure struct {
	Code    Reason `json:"code"`
	Message string `json:"message"`
}

// Tried is a protocol in which the router did not answer.
type Tried struct {
	Means  string `json:"means"`
	Reason Reason `json:"reason"`
	Text   string `json:"text"`
}

// Answer has the result for each port. If Error is set, nothing new is left mapped, unless its code is NotReturned.
// ExternalAddress is the router's own address, or 0.0.0.0 if it has none.
type Answer struct {
	Gateway         string   `json:"gateway"`
	Local           string   `json:"local"`
	Means           string   `json:"means"`
	Nonce           string   `json:"nonce"`
	ExternalAddress string   `json:"external_address"`
	Mappings        []Result `json:"mappings"`
	Tried           []Tried  `json:"tried"`
	Error           *Failure `json:"error,omitempty"`
}

// Parse reads a request, and returns everything that is wrong with it.
func Parse(text string) (Request, error) {
	var request Request
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return request, fmt.Errorf("the request is not readable: %w", err)
	}
	return request, request.check()
}

func (r Request) check() error {
	var wrong []error
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if err := message.Check(r.Version); err != nil {
		wrong = append(wrong, err)
	}
	switch r.Action {
	case ActionMap:
		if len(r.Mappings) == 0 {
			complain("mappings is empty")
		}
	case ActionRenew, ActionUnmap:
		if r.Record == nil {
			complain("action %s needs record", r.Action)
		}
	default:
		complain("action is %q, not map, renew or unmap", r.Action)
	}
	if r.Action != ActionUnmap && r.Seconds == 0 {
		complain("seconds is 0")
	}
	ports := r.Mappings
	if r.Record != nil {
		wrong = append(wrong, r.Record.check()...)
		ports = append(ports[:len(ports):len(ports)], r.Record.ports()...)
	}
	for _, port := range ports {
		if port.Port == 0 || (port.Protocol != "udp" && port.Protocol != "tcp") {
			complain("%s is no port", port)
		}
	}
	return errors.Join(wrong...)
}

func (r Record) check() (wrong []error) {
	for name, address := range map[string]netip.Addr{"gateway": r.Gateway, "local": r.Local} {
		if !address.Is4() {
			wrong = append(wrong, fmt.Errorf("record.%s is no IPv4 address", name))
		}
	}
	switch r.Means {
	case meansPCP:
		if raw, err := hex.DecodeString(r.Nonce); err != nil || len(raw) != nonceLength {
			wrong = append(wrong, fmt.Errorf("record.nonce is not %d bytes in hex", nonceLength))
		}
	case meansNATPMP, meansUPnP:
	default:
		wrong = append(wrong, fmt.Errorf("record.means is %q, not pcp, nat-pmp or upnp", r.Means))
	}
	return wrong
}

func (r Record) ports() []Port {
	ports := make([]Port, 0, len(r.Mappings))
	for _, mapping := range r.Mappings {
		ports = append(ports, mapping.Port)
	}
	return ports
}
