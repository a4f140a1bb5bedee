package judge

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"lkhub/engine/internal/input"
	"lkhub/engine/internal/sfu/config"
)

// judgeTURNServers checks the secrets of the relays that clients are told of.
func judgeTURNServers(conf *config.Server, root *yaml.Node) Messages {
	var found Messages
	list := lookup(root, "rtc", "turn_servers")
	for i, server := range conf.RTC.TURNServers {
		node := list
		if list != nil && i < len(list.Content) {
			node = list.Content[i]
		}
		// A fault of a file is reported at the key that names it.
		add := func(key string, code Code, err error) {
			m := at(cmp.Or(lookup(node, key), node), code, "rtc.turn_servers: %v", err)
			m.cause = err
			found = append(found, m)
		}
		hasSecret := strings.TrimSpace(server.Secret) != ""
		if !hasSecret && server.SecretFile != "" {
			hasSecret = true // a missing one is reported once
			if _, err := input.ReadSecret(server.SecretFile); err != nil {
				add("secret_file", BadTURNSecret, err)
			}
		}
		if server.CredentialsFile != "" && server.Username == "" && server.Credential == "" {
			var err error
			if server.Username, server.Credential, err = readCredentials(server.CredentialsFile); err != nil {
				add("credentials_file", BadTURNSecret, err)
				continue
			}
		}
		if !hasSecret && (server.Username == "" || server.Credential == "") {
			add("", NoTURNCredentials, errNoCredentials)
		}
	}
	return found
}

var errNoCredentials = errors.New("a server without usable credentials: set secret or secret_file, or username and credential")

// readCredentials reads the file of a login. Its errors quote nothing of the file.
func readCredentials(path string) (username, credential string, err error) {
	if err := input.CheckPrivate(path); err != nil {
		return "", "", err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	var login struct{ Username, Credential string }
	if yaml.Unmarshal(text, &login) != nil {
		return "", "", fmt.Errorf("%s is not of the form `username: …`, `credential: …`", path)
	}
	return login.Username, login.Credential, nil
}

// judgeTURN makes the checks of service.NewTurnServer before it binds.
func judgeTURN(conf *config.Server, root *yaml.Node) Messages {
	turn := conf.TURN
	if !turn.Enabled {
		return nil
	}
	var found Messages
	add := func(key string, code Code, format string, args ...any) {
		node := lookup(root, "turn", key)
		if node == nil {
			node = lookup(root, "turn")
		}
		found = append(found, at(node, code, format, args...))
	}
	if turn.TLSPort <= 0 && turn.UDPPort <= 0 {
		add("enabled", NoTURNPort, "invalid TURN ports: turn.enabled needs turn.udp_port or turn.tls_port")
	}
	if turn.TLSPort > 0 {
		switch {
		case turn.Domain == "":
			add("tls_port", NoTURNDomain, "TURN domain required: turn.tls_port needs turn.domain")
		case !config.IsValidDomain(turn.Domain):
			add("domain", BadTURNDomain, "TURN domain is not correct: %q is no domain name", turn.Domain)
		}
		if turn.ProxyProtocol && len(turn.ProxyProtocolTrustedCIDRs) == 0 {
			add("proxy_protocol", NoTrustedProxy, "turn.proxy_protocol needs an entry in turn.proxy_protocol_trusted_cidrs")
		}
		if !turn.ExternalTLS {
			if _, err := tls.LoadX509KeyPair(turn.CertFile, turn.KeyFile); err != nil {
				add("cert_file", BadTURNCertificate, "TURN tls cert required: %v", err)
			}
		}
	}
	checkCIDRs := func(key string, cidrs []string) {
		for _, cidr := range cidrs {
			if _, _, err := net.ParseCIDR(cidr); err != nil {
				add(key, BadCIDR, "turn.%s: %v", key, err)
			}
		}
	}
	checkCIDRs("allow_restricted_peer_cidrs", turn.AllowRestrictedPeerCIDRs)
	checkCIDRs("deny_peer_cidrs", turn.DenyPeerCIDRs)
	if turn.ProxyProtocol && turn.TLSPort > 0 {
		checkCIDRs("proxy_protocol_trusted_cidrs", turn.ProxyProtocolTrustedCIDRs)
	}
	noNodeIP := func(address string) bool {
		if net.ParseIP(address).To4() != nil {
			return conf.RTC.NodeIP.V4 == ""
		}
		return conf.RTC.NodeIP.V6 == ""
	}
	if i := slices.IndexFunc(turn.BindAddresses, noNodeIP); i >= 0 {
		add("bind_addresses", NoNodeIP, "no matching node IP for relay: turn.bind_addresses has %q, rtc.node_ip no address of its family", turn.BindAddresses[i])
	}
	return found
}
