package main

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"

	"github.com/livekit/mediatransportutil/pkg/rtcconfig"
	"gopkg.in/yaml.v3"
)

// judge says what the server would refuse, or log as an error, after the parse. conf is changed as the server
// changes it, except that no external address is asked for.
func judge(conf *serverConfig, root *yaml.Node) messages {
	conf.RTC.UseExternalIP = false
	if conf.RTC.NodeIP.IsEmpty() {
		conf.RTC.NodeIP.V4 = "192.0.2.1" // stands for the address that the server finds when it starts
	}
	var found messages
	if err := conf.RTC.Validate(conf.Development); err != nil {
		found = append(found, at(lookup(root, "rtc"), "%v", err))
	}
	if conf.BindAddresses != nil && len(conf.BindAddresses) == 0 {
		found = append(found, at(lookup(root, "bind_addresses"), "bind_addresses is empty: the server would listen nowhere"))
	}
	found = append(found, judgePorts(conf, root)...)
	if conf.RTC.ForceTCP && conf.RTC.TCPPort == 0 {
		found = append(found, at(lookup(root, "rtc", "force_tcp"), "TCP is forced but not configured: rtc.tcp_port is 0"))
	}
	if _, err := rtcconfig.IPFilterFromConf(conf.RTC.IPs); err != nil {
		found = append(found, at(lookup(root, "rtc", "ips"), "rtc.ips: %v", err))
	}
	if _, err := createNodeSelector(conf); err != nil {
		found = append(found, at(lookup(root, "node_selector"), "node_selector: %v", err))
	}
	found = append(found, judgeKeys(conf, root)...)
	found = append(found, judgeTURNServers(conf, root)...)
	return append(found, judgeTURN(conf, root)...)
}

// judgePorts finds what no system can bind. 0 is off, except for the port that everything begins with.
func judgePorts(conf *serverConfig, root *yaml.Node) messages {
	const last = 65535
	var found messages
	if conf.Port == 0 {
		found = append(found, at(lookup(root, "port"), "port: 0 is no port, 1 to %d are", last))
	}
	for path, port := range map[string]int{
		"port":               int(conf.Port),
		"prometheus.port":    int(conf.Prometheus.Port),
		"rtc.tcp_port":       int(conf.RTC.TCPPort),
		"rtc.udp_port":       max(conf.RTC.UDPPort.Start, conf.RTC.UDPPort.End),
		"rtc.port_range_end": int(max(conf.RTC.ICEPortRangeStart, conf.RTC.ICEPortRangeEnd)),
		"turn.udp_port":      conf.TURN.UDPPort,
		"turn.tls_port":      conf.TURN.TLSPort,
	} {
		if port < 0 || port > last {
			found = append(found, at(lookup(root, strings.Split(path, ".")...), "%s: %d is no port, 1 to %d are", path, port, last))
		}
	}
	return found
}

// judgeTURNServers looks at the secrets of the relays that clients are told of.
func judgeTURNServers(conf *serverConfig, root *yaml.Node) messages {
	var found messages
	list := lookup(root, "rtc", "turn_servers")
	for i, server := range conf.RTC.TURNServers {
		if server.SecretFile == "" || server.Secret != "" {
			continue
		}
		node := list
		if list != nil && i < len(list.Content) {
			node = list.Content[i]
			if file := lookup(node, "secret_file"); file != nil {
				node = file
			}
		}
		if _, err := readSecret(server.SecretFile); err != nil {
			m := at(node, "rtc.turn_servers: %v", err)
			m.cause = err
			found = append(found, m)
		}
	}
	return found
}

// judgeTURN is what service.NewTurnServer asks before it binds.
func judgeTURN(conf *serverConfig, root *yaml.Node) messages {
	turn := conf.TURN
	if !turn.Enabled {
		return nil
	}
	var found messages
	add := func(key, format string, args ...any) {
		node := lookup(root, "turn", key)
		if node == nil {
			node = lookup(root, "turn")
		}
		found = append(found, at(node, format, args...))
	}
	if turn.TLSPort <= 0 && turn.UDPPort <= 0 {
		add("enabled", "invalid TURN ports: turn.enabled needs turn.udp_port or turn.tls_port")
	}
	if turn.TLSPort > 0 {
		switch {
		case turn.Domain == "":
			add("tls_port", "TURN domain required: turn.tls_port needs turn.domain")
		case !isValidDomain(turn.Domain):
			add("domain", "TURN domain is not correct: %q is no domain name", turn.Domain)
		}
		if !turn.ExternalTLS {
			if _, err := tls.LoadX509KeyPair(turn.CertFile, turn.KeyFile); err != nil {
				add("cert_file", "TURN tls cert required: %v", err)
			}
		}
	}
	noNodeIP := func(address string) bool {
		if net.ParseIP(address).To4() != nil {
			return conf.RTC.NodeIP.V4 == ""
		}
		return conf.RTC.NodeIP.V6 == ""
	}
	if i := slices.IndexFunc(turn.BindAddresses, noNodeIP); i >= 0 {
		add("bind_addresses", "no matching node IP for relay: turn.bind_addresses has %q, rtc.node_ip no address of its family", turn.BindAddresses[i])
	}
	return found
}
