package portmap

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// router is a router, in one of the languages that routers speak. Its errors are refusals.
type router interface {
	means() string
	nonce() string
	// request asks for the port outside that has the same number.
	request(ctx context.Context, port Port, seconds uint32) (grant, error)
	release(ctx context.Context, port Port) error
}

// grant is what a router gave. seconds is for how long, nil for ever; not own: somebody else had set it up.
type grant struct {
	port    uint16
	address netip.Addr
	seconds *uint32
	own     bool
}

// refusal is the error of a router: Refused, or NoAnswer where it does not speak the language. Its text goes on after
// "the router refused: ".
type refusal struct {
	reason Reason
	text   string
}

func (r refusal) Error() string { return r.text }

func refused(text string) error  { return refusal{Refused, text} }
func noAnswer(text string) error { return refusal{NoAnswer, text} }

func isSilence(err error) bool {
	var known refusal
	return errors.As(err, &known) && known.reason == NoAnswer
}

// endpoints is where a router is asked: ports and waits are fixed, but in tests.
type endpoints struct {
	uplink
	port     uint16          // of PCP and NAT-PMP
	waits    []time.Duration // for an answer to each datagram
	searches []search        // for UPnP, one after the other
}

// search is where UPnP is searched for, and how long an answer is waited for before the next search.
type search struct {
	target netip.AddrPort
	wait   time.Duration
}

func realEndpoints(uplink uplink) endpoints {
	return endpoints{
		uplink: uplink,
		port:   5351,
		waits:  datagramWaits,
		// The gateway alone first, as UPnP Device Architecture 1.1 has it: the network is left in peace by most renewals.
		// Searches get lost, so the network is asked twice.
		searches: []search{
			{netip.AddrPortFrom(uplink.gateway, multicast.Port()), unicastWait},
			{multicast, multicastWait},
			{multicast, multicastWait},
		},
	}
}

// routers lists the languages, the one that says most first.
func (p endpoints) routers() []router {
	return []router{&pcp{endpoints: p, secret: newNonce()}, &natpmp{endpoints: p}, &upnp{endpoints: p}}
}

// open is the router of a record, in the language that it was asked in.
func (p endpoints) open(record Record) router {
	switch record.Means {
	case meansPCP:
		return &pcp{endpoints: p, secret: record.Nonce}
	case meansNATPMP:
		return &natpmp{endpoints: p}
	default:
		return &upnp{endpoints: p}
	}
}
