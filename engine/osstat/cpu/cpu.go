// Package cpu and its neighbours stand in for github.com/mackerelio/go-osstat; a replace in the engine's go.mod puts
// them there. Upstream v0.2.8 has no CPU figures for macOS without cgo, so livekit-server doesn't compile for it, and
// the engine is cross-compiled. Here is what livekit-server and protocol use of it and no more: read in
// pkg/telemetry/prometheus/node_nonwindows.go and utils/hwstats. The figures are gopsutil's, which needs no cgo.
package cpu

import (
	"errors"
	"math"

	gopsutil "github.com/shirou/gopsutil/v4/cpu"
)

// Stats counts clock ticks of all CPUs together. Callers look at the difference between two of them.
type Stats struct {
	Idle, Total uint64
}

// Get reads the counters as they are now.
func Get() (*Stats, error) {
	all, err := gopsutil.Times(false)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 { // gopsutil's answer, without an error, where /proc/stat can't be read
		return nil, errors.New("the system tells no CPU times")
	}
	times := all[0]
	// Guest and GuestNice are within User and Nice already.
	total := times.User + times.Nice + times.System + times.Idle + times.Iowait + times.Irq + times.Softirq + times.Steal
	return &Stats{Idle: ticks(times.Idle), Total: ticks(total)}, nil
}

func ticks(seconds float64) uint64 {
	return uint64(math.Round(seconds * gopsutil.ClocksPerSec))
}
