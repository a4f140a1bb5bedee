package enginetest

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

const inNamespace = "LKHUB_TEST_IN_NAMESPACE"

// WithAddresses runs the rest of a test in its own network namespace, whose loopback interface also has these
// addresses. It reports whether it is inside the namespace. If the machine allows no namespace, the test is skipped.
func WithAddresses(t *testing.T, addresses ...string) bool {
	t.Helper()
	if os.Getenv(inNamespace) == "" {
		again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
		again.Env = append(os.Environ(), inNamespace+"=1")
		again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		if os.Geteuid() != 0 {
			again.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			again.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		}
		out, err := again.CombinedOutput()
		switch text := string(out); {
		case again.ProcessState == nil:
			t.Skipf("no network namespace: %v", err)
		case err != nil || !strings.Contains(text, "--- PASS"):
			t.Errorf("%v\n%s", err, text)
		case testing.Verbose():
			t.Log(text)
		}
		return false
	}
	RunIP(t, "link", "set", "lo", "up")
	for _, address := range addresses {
		RunIP(t, "address", "add", address, "dev", "lo")
	}
	return true
}

// RunIP runs iproute2's ip.
func RunIP(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}
