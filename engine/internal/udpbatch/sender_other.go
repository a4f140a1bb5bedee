//go:build !linux

package udpbatch

import "net"

func newSender(*net.UDPConn, func(error)) sender { return nil }
