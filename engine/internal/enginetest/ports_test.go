package enginetest

import (
	"strconv"
	"testing"
)

func TestPortsOfTestsAreGivenOnce(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		port := FreePort(t)
		if number, _ := strconv.Atoi(port); number < firstPort || number > lastPort || seen[port] {
			t.Fatalf("%s is given", port)
		}
		seen[port] = true
	}
}
