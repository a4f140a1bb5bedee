package sfu

import (
	"errors"
	"fmt"
	"net"

	"github.com/livekit/mediatransportutil/pkg/rtcconfig"
	"github.com/livekit/mediatransportutil/pkg/transport"
	"github.com/livekit/protocol/logger"
	"github.com/livekit/protocol/logger/pionlogger"
	"github.com/pion/ice/v4"
	"github.com/pion/transport/v4/stdnet"

	"lkhub/engine/internal/icechecks"
	"lkhub/engine/internal/sendcount"
	"lkhub/engine/internal/udpbatch"
)

// socketBuffer is what livekit-server asks of the kernel for each media socket (mediatransportutil's rtcconfig).
const socketBuffer = 16 << 20

// batchWrites opens the UDP media sockets again, on those addresses that clients are told. It wraps them in udpbatch,
// and records which side sends first. rtcconfig takes no sockets from outside, so this must be called before the server
// starts. With a range of ports each call has its own sockets, which are only watched. It returns how many sockets it
// opened.
func batchWrites(conf *rtcconfig.WebRTCConfig, told Advertised, counter *sendcount.Counter, first *icechecks.Record) (int, error) {
	old, ok := conf.UDPMux.(*transport.MultiPortsUDPMux)
	if !ok {
		opener, err := stdnet.NewNet() // as upstream does
		if err != nil {
			return 0, err
		}
		conf.SettingEngine.SetNet(icechecks.Net{Net: opener, Record: first})
		return 0, nil
	}
	// pion's own method names one port for each address.
	addrs, err := told.narrow(old.MultiUDPMuxDefault.GetListenAddresses())
	if err := errors.Join(err, old.Close()); err != nil {
		return 0, err
	}
	log := pionlogger.NewLoggerFactory(logger.GetLogger()).NewLogger("udp_mux")
	sendingAlone := func(refusal error) {
		logger.Warnw("this machine refuses to send packets in batches (sendmmsg); each leaves by itself, for more CPU", refusal)
	}
	muxes := make([]ice.UDPMux, len(addrs))
	for i, addr := range addrs {
		conn, err := net.ListenUDP("udp", addr.(*net.UDPAddr))
		if err != nil {
			return i, fmt.Errorf("opening the media port again: %w", err)
		}
		_ = conn.SetReadBuffer(socketBuffer) // as upstream does: whatever the kernel grants is enough
		_ = conn.SetWriteBuffer(socketBuffer)
		batched := udpbatch.New(conn, counter, sendingAlone)
		muxes[i] = ice.NewUDPMuxDefault(ice.UDPMuxParams{Logger: log, UDPConn: icechecks.Watch(batched, first)})
	}
	conf.UDPMux = transport.NewMultiPortsUDPMux(muxes, nil)
	conf.SettingEngine.SetICEUDPMux(conf.UDPMux)
	return len(muxes), nil
}
