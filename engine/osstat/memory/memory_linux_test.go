package memory

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMemoryIsThatOfProc(t *testing.T) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	t.Setenv("HOST_PROC", folder) // gopsutil reads a copy: /proc/meminfo changes between two looks
	if err := os.WriteFile(filepath.Join(folder, "meminfo"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	kib := map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		var name string
		var value uint64
		if _, err := fmt.Sscan(line, &name, &value); err == nil {
			kib[name] = value
		}
	}
	want := Stats{Total: kib["MemTotal:"] * 1024, Used: (kib["MemTotal:"] - kib["MemAvailable:"]) * 1024}

	got, err := Get()
	if err != nil {
		t.Fatal(err)
	}
	if *got != want || want.Used == 0 {
		t.Errorf("got %+v, /proc/meminfo says %+v", *got, want)
	}
}
