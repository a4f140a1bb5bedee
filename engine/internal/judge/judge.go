package judge

import (
	"strings"

	"github.com/livekit/mediatransportutil/pkg/rtcconfig"
	"gopkg.in/yaml.v3"

	"lkhub/engine/internal/sfu/config"
)

// judge returns what the server would refuse, or log as an error, after the parse. It changes conf as the server does,
// but asks no server for its address.
func judge(conf *config.Server, root *yaml.Node) Messages {
	conf.RTC.UseExternalIP = false
	if conf.RTC.NodeIP.IsEmpty() {
		conf.RTC.NodeIP.V4 = "192.0.2.1" // stands for the address that the server finds at its start
	}
	var found Messages
	if err := conf.RTC.Validate(conf.Development); err != nil {
		found = append(found, at(lookup(root, "rtc"), BadRTC, "%v", err))
	}
	if conf.BindAddresses != nil && len(conf.BindAddresses) == 0 {
		found = append(found, at(lookup(root, "bind_addresses"), NoAddress, "bind_addresses is empty: the server would listen nowhere"))
	}
	if err := conf.RTC.CongestionControl.Validate(); err != nil {
		found = append(found, at(lookup(root, "rtc", "congestion_control", "send_side_bwe_pacer"), BadPacer, "rtc.congestion_control: %v", err))
	}
	found = append(found, judgePorts(conf, root)...)
	if conf.Prometheus.Port != 0 && (conf.Prometheus.Username == "") != (conf.Prometheus.Password == "") {
		found = append(found, at(lookup(root, "prometheus"), HalfLogin, "prometheus: username and password belong together; set both, or neither for access without them"))
	}
	if conf.WebTransport.Port != 0 {
		if err := config.WebTransportTLS(conf); err != nil {
			found = append(found, at(lookup(root, "webtransport"), BadWebTransport, "webtransport: %v", err))
		}
	}
	if conf.RTC.ForceTCP && conf.RTC.TCPPort == 0 {
		found = append(found, at(lookup(root, "rtc", "force_tcp"), TCPForcedOff, "TCP is forced but not configured: rtc.tcp_port is 0"))
	}
	if _, err := rtcconfig.IPFilterFromConf(conf.RTC.IPs); err != nil {
		found = append(found, at(lookup(root, "rtc", "ips"), BadAddresses, "rtc.ips: %v", err))
	}
	if _, err := config.CreateNodeSelector(conf); err != nil {
		found = append(found, at(lookup(root, "node_selector"), BadNodeSelector, "node_selector: %v", err))
	}
	found = append(found, judgeKeys(conf, root)...)
	found = append(found, judgeTURNServers(conf, root)...)
	return append(found, judgeTURN(conf, root)...)
}

// judgePorts finds ports that no system can bind. 0 is off, except for the main port.
func judgePorts(conf *config.Server, root *yaml.Node) Messages {
	const last = 65535
	var found Messages
	if conf.Port == 0 {
		found = append(found, at(lookup(root, "port"), BadPort, "port: 0 is no port, 1 to %d are", last))
	}
	for path, port := range map[string]int{
		"port":               int(conf.Port),
		"prometheus.port":    int(conf.Prometheus.Port),
		"webtransport.port":  int(conf.WebTransport.Port),
		"rtc.tcp_port":       int(conf.RTC.TCPPort),
		"rtc.udp_port":       max(conf.RTC.UDPPort.Start, conf.RTC.UDPPort.End),
		"rtc.port_range_end": int(max(conf.RTC.ICEPortRangeStart, conf.RTC.ICEPortRangeEnd)),
		"turn.udp_port":      conf.TURN.UDPPort,
		"turn.tls_port":      conf.TURN.TLSPort,
	} {
		if port < 0 || port > last {
			found = append(found, at(lookup(root, strings.Split(path, ".")...), BadPort, "%s: %d is no port, 1 to %d are", path, port, last))
		}
	}
	return found
}
