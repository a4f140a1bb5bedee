package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"
)

const maxConnections = 1000

// SignalConfig is what to send through a proxy: one message at a time on each connection, to an echo in this process,
// which is behind the proxy.
type SignalConfig struct {
	URL     string // ws: or wss:, with the path
	BackEnd string // TCP address at which the proxy expects the server behind it

	Connections int
	Conditions
}

// Check reports everything that is wrong at once.
func (c SignalConfig) Check() error {
	var wrong faults
	target, err := url.Parse(c.URL)
	wrong.add(err != nil || (target.Scheme != "ws" && target.Scheme != "wss"), "--url %q is no ws:// or wss:// address", c.URL)
	_, err = net.ResolveTCPAddr("tcp", c.BackEnd)
	wrong.add(err != nil || c.BackEnd == "", "--back-end %q is no HOST:PORT", c.BackEnd)
	wrong.add(c.Connections < 1 || c.Connections > maxConnections, "--connections %d is not between 1 and %d", c.Connections, maxConnections)
	c.Conditions.check(&wrong)
	return errors.Join(wrong...)
}

// SignalReport is the result. Only messages that were sent within the measured time count.
type SignalReport struct {
	Connections    int     `json:"connections"`
	Size           int     `json:"size"` // of a message in bytes
	DurationS      float64 `json:"duration_s"`
	Messages       uint64  `json:"messages"` // through the proxy, both ways
	RoundTripP50MS float64 `json:"round_trip_p50_ms"`
	RoundTripP99MS float64 `json:"round_trip_p99_ms"`
}

// RunSignal generates the load and reports. If ctx ends early, it reports what was measured until then.
func RunSignal(ctx context.Context, config SignalConfig) (*SignalReport, error) {
	message, err := signalMessage()
	if err != nil {
		return nil, err
	}
	behind, err := listenEcho(config.BackEnd)
	if err != nil {
		return nil, err
	}
	defer behind.close()
	clock := newClock()
	talks := make([]*talk, config.Connections)
	for i := range talks {
		if talks[i], err = openTalk(ctx, clock, config); err != nil {
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		defer talks[i].conn.Close()
	}
	var talking sync.WaitGroup
	failed := make(chan error, len(talks))
	for _, t := range talks {
		talking.Go(func() {
			if err := t.run(message); err != nil {
				failed <- err
			}
		})
	}
	duration := config.measure(ctx, clock, "every connection has a message on its way")
	for _, t := range talks {
		_ = t.conn.SetReadDeadline(time.Now().Add(lateness))
	}
	talking.Wait()
	select {
	case err := <-failed:
		return nil, err
	default:
		return reportSignal(config, duration, len(message), talks), nil
	}
}

func reportSignal(config SignalConfig, duration time.Duration, size int, talks []*talk) *SignalReport {
	var roundTrip histogram
	for _, t := range talks {
		roundTrip.merge(&t.roundTrip)
	}
	const ways = 2
	return &SignalReport{
		Connections: config.Connections, Size: size, DurationS: duration.Seconds(), Messages: ways * roundTrip.total,
		RoundTripP50MS: ms(roundTrip.quantile(0.5)), RoundTripP99MS: ms(roundTrip.quantile(0.99)),
	}
}
