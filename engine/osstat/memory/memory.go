// Package memory is a stand-in, for the reason that package cpu gives.
package memory

import "github.com/shirou/gopsutil/v4/mem"

// Stats is in bytes. Used is what programs could not get: caches that the system would give up don't count.
type Stats struct {
	Total, Used uint64
}

// Get reads the whole machine's memory.
func Get() (*Stats, error) {
	memory, err := mem.VirtualMemory()
	if err != nil {
		return nil, err
	}
	return &Stats{Total: memory.Total, Used: memory.Total - memory.Available}, nil
}
