package process

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"lkhub/engine/internal/failure"
)

// FDs is a flag that may be given several times.
type FDs []int

func (l *FDs) String() string { return fmt.Sprint([]int(*l)) }

func (l *FDs) Set(text string) error {
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return fmt.Errorf("%q is not the number of an inherited file descriptor", text)
	}
	*l = append(*l, fd)
	return nil
}

// Inherit returns the listening sockets whose descriptors the supervisor has named in --listen-fd.
func Inherit(process string, fds []int) ([]net.Listener, error) {
	var opened []net.Listener
	for _, fd := range fds {
		listener, err := inheritOne(fd)
		if err != nil {
			return nil, failure.Usage("%s: --listen-fd %d is not a listening socket: %v", process, fd, err)
		}
		opened = append(opened, listener)
	}
	return opened, nil
}

// inheritOne makes a listener of a descriptor, and closes the descriptor.
func inheritOne(fd int) (net.Listener, error) {
	file := os.NewFile(uintptr(fd), "inherited")
	defer file.Close() // FileListener has its own copy
	return net.FileListener(file)
}

// InheritControl returns the control socket that the supervisor has bound: the last one of fds, or nil if there is
// none.
func InheritControl(process string, fds []int) (net.Listener, error) {
	if len(fds) == 0 {
		return nil, nil
	}
	listener, err := inheritOne(fds[len(fds)-1])
	if err != nil {
		return nil, failure.Usage("%s: --control-fd %d is not a listening socket: %v", process, fds[len(fds)-1], err)
	}
	return listener, nil
}
