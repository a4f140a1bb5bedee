//go:build !linux

package udpbatch

import (
	"net"

	"lkhub/engine/internal/sendcount"
)

func newSender(*net.UDPConn, *sendcount.Counter, func(error)) sender { return nil }
