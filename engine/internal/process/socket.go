package process

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"lkhub/engine/internal/failure"
)

// maxSocketPath is the length of sockaddr_un on this system without its closing NUL: 107 on Linux, 103 on macOS.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// listenControl binds the Unix socket at path for its owner alone. It replaces the socket of a dead process, but not
// one on which a process answers.
func listenControl(path string) (net.Listener, error) {
	listener, err := listenUnix(path)
	if err != nil {
		return nil, failure.New(failure.ExitMachine, "control-socket", fmt.Sprintf("control socket %s: %v", path, err))
	}
	return listener, nil
}

func listenUnix(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf(
			"the path has %d bytes and this system allows %d; use a state directory with a shorter path", len(path), maxSocketPath)
	}
	unlock, err := lockDirectory(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()

	listener, err := listenPrivately(path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(path); err != nil {
			return nil, err
		}
		listener, err = listenPrivately(path)
	}
	return listener, err
}

// lockDirectory keeps two processes that start at the same moment from replacing each other's socket.
func lockDirectory(path string) (unlock func(), err error) {
	directory, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(directory.Fd()), syscall.LOCK_EX); err != nil {
		directory.Close()
		return nil, err
	}
	return func() { directory.Close() }, nil
}

// listenPrivately binds under a umask: with a chmod afterwards, any user could connect for a moment.
func listenPrivately(path string) (net.Listener, error) {
	defer syscall.Umask(syscall.Umask(0o177))
	return net.Listen("unix", path)
}

// removeStale removes a socket on which no process answers, and nothing else: a wrong --control must not delete a file.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return errors.New("a file that is not a socket is in the way")
	}
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		conn.Close()
		return errors.New("another process answers there")
	case !errors.Is(err, syscall.ECONNREFUSED):
		return err
	}
	return os.Remove(path)
}
