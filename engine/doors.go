package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"

	"lkhub/engine/internal/places"
)

// doors are listening sockets that the supervisor opened and keeps: while this process restarts, who connects
// waits in their queue instead of being refused.
type doors []net.Listener

// fdList is a flag that may be given several times.
type fdList []int

func (l *fdList) String() string { return fmt.Sprint([]int(*l)) }

func (l *fdList) Set(text string) error {
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return fmt.Errorf("%q is not the number of an inherited file descriptor", text)
	}
	*l = append(*l, fd)
	return nil
}

func openDoors(process string, fds []int) (doors, error) {
	var opened doors
	for _, fd := range fds {
		listener, err := inherit(fd)
		if err != nil {
			return nil, badUsage("%s: --listen-fd %d is not a listening socket: %v", process, fd, err)
		}
		opened = append(opened, listener)
	}
	return opened, nil
}

// inherit takes a descriptor over, and closes it.
func inherit(fd int) (net.Listener, error) {
	file := os.NewFile(uintptr(fd), "inherited")
	defer file.Close() // FileListener holds a copy
	return net.FileListener(file)
}

// inheritControl takes the control socket over that the supervisor has bound, the last one of fds. nil: it has bound none.
func inheritControl(process string, fds []int) (net.Listener, error) {
	if len(fds) == 0 {
		return nil, nil
	}
	listener, err := inherit(fds[len(fds)-1])
	if err != nil {
		return nil, badUsage("%s: --control-fd %d is not a listening socket: %v", process, fds[len(fds)-1], err)
	}
	return listener, nil
}

// privatePort finds a port on loopback for the listener that livekit-server insists on opening itself.
func privatePort() (uint32, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return uint32(listener.Addr().(*net.TCPAddr).Port), nil
}

// serveDoors lets the HTTP server of a *service.LivekitServer accept from the doors too; its Stop then closes them with the
// rest. The server opens its listeners by itself and exports no way to give it one; if the field is renamed,
// TestMediaServesInheritedListener fails.
func serveDoors(server any, opened doors, counter *places.Counter) {
	httpServer := *private[*http.Server](server, "httpServer")
	for _, listener := range opened {
		go func() { _ = httpServer.Serve(bound(listener, "signalling", counter, true)) }() // ends with the server
	}
}
