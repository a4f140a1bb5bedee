package participant

import (
	"fmt"
	"net"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/livekit/protocol/codecs"
)

// newAPI builds pion's API with only what this program sends and reads: Opus and VP8. Session descriptions stay short,
// and no interceptors are used but those in config.
func newAPI(config Config, log logging.LoggerFactory, letsIn func(net.IP) bool) (*webrtc.API, error) {
	media, err := newMediaEngine()
	if err != nil {
		return nil, fmt.Errorf("register codecs: %w", err)
	}
	var settings webrtc.SettingEngine
	settings.LoggerFactory = log
	settings.SetNetworkTypes(config.Route.Networks)
	settings.SetIncludeLoopbackCandidate(config.Route.Loopback)
	settings.SetRemoteIPFilter(letsIn)
	// By default pion listens to mDNS's multicast group and asks it, which sends packets to other machines.
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	// The hardware supports all of AES-GCM, but only half of AES-CM with HMAC-SHA1.
	settings.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	// Each route has one kind of candidate, so there is no better one to wait for.
	settings.SetHostAcceptanceMinWait(0)
	settings.SetSrflxAcceptanceMinWait(0)
	settings.SetPrflxAcceptanceMinWait(0)
	settings.SetRelayAcceptanceMinWait(0)
	if config.Settings != nil {
		config.Settings(&settings)
	}
	registry := &interceptor.Registry{}
	for _, factory := range config.Interceptors {
		registry.Add(factory)
	}
	return webrtc.NewAPI(
		webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(settings), webrtc.WithInterceptorRegistry(registry),
	), nil
}

// newMediaEngine offers the same feedback as browsers, so that the server does its usual work.
func newMediaEngine() (*webrtc.MediaEngine, error) {
	opus, vp8, rtx := codecs.OpusCodecParameters, codecs.VP8CodecParameters, codecs.VideoRTXCodecParameters
	vp8.RTCPFeedback = []webrtc.RTCPFeedback{
		{Type: webrtc.TypeRTCPFBTransportCC},
		{Type: webrtc.TypeRTCPFBCCM, Parameter: "fir"},
		{Type: webrtc.TypeRTCPFBNACK},
		{Type: webrtc.TypeRTCPFBNACK, Parameter: "pli"},
	}
	rtx.SDPFmtpLine = fmt.Sprintf("apt=%d", vp8.PayloadType)
	rtx.PayloadType = vp8.PayloadType + 1

	media := &webrtc.MediaEngine{}
	if err := media.RegisterCodec(opus, webrtc.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	for _, codec := range []webrtc.RTPCodecParameters{vp8, rtx} {
		if err := media.RegisterCodec(codec, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
	}
	transportCC := webrtc.RTPHeaderExtensionCapability{URI: sdp.TransportCCURI}
	if err := media.RegisterHeaderExtension(transportCC, webrtc.RTPCodecTypeVideo); err != nil {
		return nil, err
	}
	return media, nil
}
