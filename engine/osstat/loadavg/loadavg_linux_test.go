package loadavg

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestAveragesAreThoseOfProc(t *testing.T) {
	now, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"this machine": string(now), "busy": "12.50 3.25 0.75 4/567 8910\n"} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			t.Setenv("HOST_PROC", folder) // gopsutil reads a copy: /proc/loadavg changes between two looks
			if err := os.WriteFile(filepath.Join(folder, "loadavg"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var want Stats
			if _, err := fmt.Sscan(text, &want.Loadavg1, &want.Loadavg5, &want.Loadavg15); err != nil {
				t.Fatal(err)
			}

			got, err := Get()
			if err != nil {
				t.Fatal(err)
			}
			if *got != want {
				t.Errorf("got %+v, /proc/loadavg says %+v", *got, want)
			}
		})
	}
}
