package udpread

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestOnlyWhatPassesIsReadAgain(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.ENOMEM, syscall.ENOBUFS, syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EINTR, syscall.EPERM,
	} {
		for _, err := range []error{errno, &net.OpError{Op: "read", Err: os.NewSyscallError("recvmsg", errno)}} {
			if !Again(err) {
				t.Errorf("%v ended the socket", err)
			}
		}
	}
	for _, err := range []error{
		net.ErrClosed, &net.OpError{Op: "read", Err: net.ErrClosed}, os.ErrDeadlineExceeded, errors.New("not the kernel's"),
		syscall.EBADF, syscall.ENOTSOCK, syscall.EINVAL, syscall.EAGAIN, fmt.Errorf("%w", syscall.EBADF),
	} {
		if Again(err) {
			t.Errorf("%v was tried again", err)
		}
	}
}

func TestPacketsArriveAndTheEndDoesToo(t *testing.T) {
	plain, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	c := Conn{plain}
	at := plain.LocalAddr().(*net.UDPAddr)
	for _, text := range []string{"one", "two"} {
		if _, err := c.WriteToAddrPort([]byte(text), at.AddrPort()); err != nil {
			t.Fatal(err)
		}
	}
	buffer := make([]byte, 10)
	if n, from, err := c.ReadFromAddrPort(buffer); err != nil || string(buffer[:n]) != "one" || from != at.AddrPort() {
		t.Errorf("%q from %v: %v", buffer[:n], from, err)
	}
	if n, from, err := c.ReadFrom(buffer); err != nil || string(buffer[:n]) != "two" || from.String() != at.String() {
		t.Errorf("%q from %v: %v", buffer[:n], from, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(-time.Second))
	if _, _, err := c.ReadFromAddrPort(buffer); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	c.Close()
	if _, _, err := c.ReadFromAddrPort(buffer); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, _, err := c.ReadFrom(buffer); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
