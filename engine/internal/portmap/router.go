package portmap

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"lkhub/engine/internal/message"
)

// router is a router, spoken to in one protocol. Its errors are refusals.
type router interface {
	means() string
	nonce() string
	// request asks for the external port with the same number.
	request(ctx context.Context, port Port, seconds uint32) (grant, error)
	release(ctx context.Context, port Port) error
}

// grant is what a router gave. seconds is the lease; nil: it does not end. If own is false, another program had set it
// up.
type grant struct {
	port    uint16
	address netip.Addr
	seconds *uint32
	own     bool
}

// refusal is a router's error: Refused, or NoAnswer if the router does not speak the protocol. Its text follows "the
// router refused: ".
type refusal struct {
	reason Reason
	text   string
}

// maxText has room for the text of any honest router. A refusal repeats what the router says, which may be anything.
const maxText = 200

func (r refusal) Error() string { return r.text }

func refused(text string) error  { return refusal{Refused, message.Quote(text, maxText)} }
func noAnswer(text string) error { return refusal{NoAnswer, message.Quote(text, maxText)} }

func isSilence(err error) bool {
	var known refusal
	return errors.As(err, &known) && known.reason == NoAnswer
}

// endpoints is where a router is reached. Only tests use other ports and waits.
type endpoints struct {
	uplink
	port     uint16          // of PCP and NAT-PMP
	waits    []time.Duration // for an answer to each datagram
	searches []search        // for UPnP, one after the other
}

// search is where to search for UPnP, and how long to wait for an answer before the next search.
type search struct {
	target netip.AddrPort
	wait   time.Duration
}

func realEndpoints(uplink uplink) endpoints {
	return endpoints{
		uplink: uplink,
		port:   5351,
		waits:  datagramWaits,
		// The first search goes to the gateway alone, as UPnP Device Architecture 1.1 allows, so that most renewals
		// cause no traffic to others. Searches get lost, so the network is asked twice.
		searches: []search{
			{netip.AddrPortFrom(uplink.gateway, multicast.Port()), unicastWait},
			{multicast, multicastWait},
			{multicast, multicastWait},
		},
	}
}

// routers lists the router with each protocol, the most informative protocol first.
func (p endpoints) routers() []router {
	return []router{&pcp{endpoints: p, secret: newNonce()}, &natpmp{endpoints: p}, &upnp{endpoints: p}}
}

// open returns the router of a record, with the record's protocol.
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
