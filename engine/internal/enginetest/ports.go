package enginetest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// Linux gives ports 32768 to 60999 to sockets that ask for no particular port. Such a port may be free now and taken
// before a test binds it. Relays of tests use 20000 and above.
const firstPort, lastPort = 10000, 19999

// reservations is a file in which a process locks byte N when it is given port N. tests/kit/ports.py locks bytes of the
// same file.
var reservations = sync.OnceValues(func() (*os.File, error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("lkhub-test-ports-%d", os.Getuid()))
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
})

var givenPorts sync.Map // a lock does not keep its own process out

// FreePort returns a port that is free over TCP and UDP. No other test is given it while this process lives.
func FreePort(t *testing.T) string {
	t.Helper()
	return FreePortAt(t, "127.0.0.1")
}

// FreePortAt is for another address than 127.0.0.1.
func FreePortAt(t *testing.T, host string) string {
	t.Helper()
	for range 10 * (lastPort - firstPort) {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if reservePort(t, port) && portIsFree(host, port) {
			return strconv.Itoa(port)
		}
	}
	t.Fatal("no port is free over TCP and UDP")
	return ""
}

func reservePort(t *testing.T, port int) bool {
	t.Helper()
	file, err := reservations()
	if err != nil {
		t.Fatal(err)
	}
	if _, given := givenPorts.LoadOrStore(port, true); given {
		return false
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: int64(port), Len: 1}
	return syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &lock) == nil
}

func portIsFree(host string, port int) bool {
	address := net.JoinHostPort(host, strconv.Itoa(port))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	defer listener.Close()
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}
