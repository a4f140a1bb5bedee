package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pion/stun/v3"
)

const (
	maxAllocations = 1000
	maxRate        = 200_000
	// maxPacket leaves room in an Ethernet frame for what TURN adds.
	maxPacket = 1400

	allocationsAtOnce = 4
	// flowTimeout is for one allocation and the first packet through it.
	flowTimeout = 10 * time.Second
)

// RelayConfig is what to send through a TURN server: Rate packets of Size bytes a second, shared by the allocations.
// They go to a peer in this process, which sends each packet back.
type RelayConfig struct {
	Server             string // URI: turn:HOST:PORT?transport=udp or turns:HOST:PORT?transport=tcp
	Username, Password string
	Peer               string // UDP address, where the server may relay to

	Allocations, Rate, Size int
	Conditions
}

// Check reports everything that is wrong at once.
func (c RelayConfig) Check() error {
	var wrong faults
	uri, err := stun.ParseURI(c.Server)
	wrong.add(err != nil || (!overUDP(*uri) && !overTLS(*uri)),
		"--server %q is neither turn:HOST:PORT?transport=udp nor turns:HOST:PORT?transport=tcp", c.Server)
	_, err = net.ResolveUDPAddr("udp4", c.Peer)
	wrong.add(err != nil, "--peer: %v", err)
	wrong.add(c.Username == "", "TURN_USERNAME is not set")
	wrong.add(c.Password == "", "TURN_PASSWORD is not set")
	wrong.add(c.Allocations < 1 || c.Allocations > maxAllocations, "--allocations %d is not between 1 and %d", c.Allocations, maxAllocations)
	wrong.add(c.Rate < c.Allocations || c.Rate > maxRate, "--rate %d is not between one for each allocation and %d", c.Rate, maxRate)
	wrong.add(c.Size < stampSize || c.Size > maxPacket, "--size %d is not between %d and %d", c.Size, stampSize, maxPacket)
	c.Conditions.check(&wrong)
	return errors.Join(wrong...)
}

func overUDP(uri stun.URI) bool {
	return uri.Scheme == stun.SchemeTypeTURN && uri.Proto == stun.ProtoTypeUDP
}

func overTLS(uri stun.URI) bool {
	return uri.Scheme == stun.SchemeTypeTURNS && uri.Proto == stun.ProtoTypeTCP
}

// interval is the time between two packets of one allocation.
func (c RelayConfig) interval() time.Duration {
	return time.Second * time.Duration(c.Allocations) / time.Duration(c.Rate)
}

// RelayReport is the result. Only packets that were sent within the measured time count, however late they arrive.
type RelayReport struct {
	Allocations     int     `json:"allocations"`
	Size            int     `json:"size"`
	DurationS       float64 `json:"duration_s"`
	PacketsSent     uint64  `json:"packets_sent"`
	PacketsReturned uint64  `json:"packets_returned"`
	PacketsRelayed  uint64  `json:"packets_relayed"` // by the server: those that reached the peer, and those that came back
	Loss            float64 `json:"loss"`            // the share of sent packets that did not return, 0 to 1
	RoundTripP50MS  float64 `json:"round_trip_p50_ms"`
	RoundTripP99MS  float64 `json:"round_trip_p99_ms"`
}

// RunRelay generates the load and reports. If ctx ends early, it reports what was measured until then.
func RunRelay(ctx context.Context, config RelayConfig) (*RelayReport, error) {
	clock := newClock()
	peer, err := openPeer(clock, config.Peer)
	if err != nil {
		return nil, err
	}
	defer peer.close()
	flows := make([]*flow, config.Allocations)
	defer func() {
		for _, f := range flows {
			f.close()
		}
	}()
	err = someAtOnce(ctx, allocationsAtOnce, len(flows), func(ctx context.Context, i int) error {
		ctx, cancel := context.WithTimeout(ctx, flowTimeout)
		defer cancel()
		f, err := openFlow(ctx, clock, config, peer.addr())
		if err != nil {
			return fmt.Errorf("allocation %d: %w", i, err)
		}
		flows[i] = f
		return f.awaitEcho(ctx)
	})
	if err != nil {
		return nil, err
	}
	duration := config.measure(ctx, clock, "every allocation relays both ways")
	report := func() *RelayReport { return reportRelay(config, duration, peer, flows) }
	awaitStragglers(func() bool { r := report(); return r.PacketsReturned >= r.PacketsSent })
	return report(), nil
}

func reportRelay(config RelayConfig, duration time.Duration, peer *peer, flows []*flow) *RelayReport {
	report := &RelayReport{
		Allocations: config.Allocations, Size: config.Size, DurationS: duration.Seconds(),
		PacketsRelayed: peer.packets.Load(),
	}
	var roundTrip histogram
	for _, f := range flows {
		report.PacketsSent += f.sent.Load()
		f.mu.Lock()
		report.PacketsReturned += f.roundTrip.total
		roundTrip.merge(&f.roundTrip)
		f.mu.Unlock()
	}
	report.PacketsRelayed += report.PacketsReturned
	if report.PacketsSent > 0 {
		report.Loss = 1 - float64(report.PacketsReturned)/float64(report.PacketsSent)
	}
	report.RoundTripP50MS, report.RoundTripP99MS = ms(roundTrip.quantile(0.5)), ms(roundTrip.quantile(0.99))
	return report
}
