// Package loadavg is a stand-in, for the reason that package cpu gives.
package loadavg

import "github.com/shirou/gopsutil/v4/load"

// Stats is how many tasks ran or waited to run, over 1, 5 and 15 minutes.
type Stats struct {
	Loadavg1, Loadavg5, Loadavg15 float64
}

// Get reads the three averages.
func Get() (*Stats, error) {
	average, err := load.Avg()
	if err != nil {
		return nil, err
	}
	return &Stats{Loadavg1: average.Load1, Loadavg5: average.Load5, Loadavg15: average.Load15}, nil
}
