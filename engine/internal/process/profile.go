package process

import (
	"fmt"
	"os"
	"runtime/pprof"

	"lkhub/engine/internal/failure"
)

// StartProfile records where this process spends its CPU time until stop is called; an empty path records nothing.
// scripts/profile makes default.pgo of such records, and `go build` uses that file.
func StartProfile(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, failure.Usage("--cpuprofile: %v", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		file.Close()
		return nil, fmt.Errorf("--cpuprofile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		file.Close()
	}, nil
}
