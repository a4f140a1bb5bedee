//go:build !linux

package udpbatch

import "net"

func newSender(*net.UDPConn) sender { return nil }
