package load

import (
	"slices"
	"time"
)

// Report is the result. Only packets that were sent within the measured time count, however late they arrive.
type Report struct {
	Publishers      int     `json:"publishers"`
	Subscribers     int     `json:"subscribers"`
	Rooms           int     `json:"rooms"`
	DurationS       float64 `json:"duration_s"`
	PacketsSent     uint64  `json:"packets_sent"`
	PacketsExpected uint64  `json:"packets_expected"` // each sent packet once for every subscriber in its room
	PacketsReceived uint64  `json:"packets_received"`
	Loss            float64 `json:"loss"` // of the expected, 0 to 1
	BytesSent       uint64  `json:"bytes_sent"`
	BytesReceived   uint64  `json:"bytes_received"`
	LatencyP50MS    float64 `json:"latency_p50_ms"` // from before encryption here to after decryption here
	LatencyP99MS    float64 `json:"latency_p99_ms"`
	JoinP50MS       float64 `json:"join_p50_ms"` // from the dial to ICE and DTLS connected
	JoinP99MS       float64 `json:"join_p99_ms"`

	JoinsMS []float64 `json:"joins_ms"` // all of them, the shortest first
}

func (r *run) report(duration time.Duration) *Report {
	report := &Report{
		Publishers: r.config.Publishers, Subscribers: r.config.Subscribers, Rooms: r.config.Rooms,
		DurationS: duration.Seconds(),
	}
	var latency histogram
	for _, m := range r.members {
		if m.source != nil {
			packets := m.source.packets.Load()
			report.PacketsSent += packets
			report.PacketsExpected += packets * uint64(r.config.subscribersIn(m.room))
			report.BytesSent += m.source.bytes.Load()
			continue
		}
		m.sink.mu.Lock()
		report.PacketsReceived += m.sink.packets
		report.BytesReceived += m.sink.bytes
		latency.merge(&m.sink.latency)
		m.sink.mu.Unlock()
	}
	if report.PacketsExpected > 0 {
		report.Loss = max(0, 1-float64(report.PacketsReceived)/float64(report.PacketsExpected))
	}
	report.LatencyP50MS, report.LatencyP99MS = ms(latency.quantile(0.5)), ms(latency.quantile(0.99))
	slices.Sort(r.joins)
	if n := len(r.joins); n > 0 {
		report.JoinP50MS, report.JoinP99MS = ms(r.joins[n/2]), ms(r.joins[n*99/100])
	}
	for _, join := range r.joins {
		report.JoinsMS = append(report.JoinsMS, ms(join))
	}
	return report
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
