//go:build !linux

package udpbatch

import (
	"net"

	"lkhub/engine/internal/sends"
)

func newSender(*net.UDPConn, *sends.Counter, func(error)) sender { return nil }
