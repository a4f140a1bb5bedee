package cpu

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestCountersAreThoseOfProc(t *testing.T) {
	now, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	for name, stat := range map[string]string{
		"this machine": string(now),
		// Guests run within user and nice: counting them again would make a busy host look idle.
		"guests": "cpu  100 200 30 4000 50 6 7 8 90 150\ncpu0 100 200 30 4000 50 6 7 8 90 150\n",
	} {
		t.Run(name, func(t *testing.T) {
			serveProc(t, stat)
			fields := strings.Fields(stat)[1:]
			var want Stats
			for _, field := range fields[:8] { // user to steal; guest and guest_nice follow
				want.Total += number(t, field)
			}
			want.Idle = number(t, fields[3])

			got, err := Get()
			if err != nil {
				t.Fatal(err)
			}
			if *got != want {
				t.Errorf("got %+v, /proc/stat says %+v", *got, want)
			}
		})
	}
}

func TestUnreadableProcIsAnError(t *testing.T) {
	serveProc(t, "")
	if got, err := Get(); err == nil {
		t.Errorf("got %+v from an empty /proc/stat", *got)
	}
}

// serveProc makes gopsutil read `stat` where it would read /proc/stat, which changes between two looks.
func serveProc(t *testing.T, stat string) {
	t.Helper()
	folder := t.TempDir()
	t.Setenv("HOST_PROC", folder)
	if err := os.WriteFile(filepath.Join(folder, "stat"), []byte(stat), 0o600); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, field string) uint64 {
	t.Helper()
	value, err := strconv.ParseUint(field, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
