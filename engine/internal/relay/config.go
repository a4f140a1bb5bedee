package relay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"lkhub/engine/internal/failure"
	"lkhub/engine/internal/input"
)

// Config is relay.json, and the setting `relay` of the app `lkhub` in caddy.json.
type Config struct {
	Listen       []netip.AddrPort `json:"listen"` // UDP
	Realm        string           `json:"realm"`
	SecretFile   string           `json:"secret_file"`
	RelayAddress netip.Addr       `json:"relay_address"` // relayed packets leave from here, and their answers arrive here
	RelayPorts   PortRange        `json:"relay_ports"`
	Peers        Peers            `json:"peers"` // at the addresses that clients name
	Translate    Translations     `json:"translate"`
	Quota        int              `json:"quota"`                   // allocations of one participant at a time
	MediaControl []string         `json:"media_control,omitempty"` // control sockets of media, which knows the participants in its rooms
}

// PortRange includes both ends.
type PortRange struct {
	Min uint16 `json:"min"`
	Max uint16 `json:"max"`
}

func (r PortRange) contains(port uint16) bool { return r.Min <= port && port <= r.Max }

func (r PortRange) valid() bool { return 0 < r.Min && r.Min <= r.Max }

// ReadConfig also reads the file with the secret. where names the text in errors. udp says whether clients come over
// UDP; otherwise they come over streams that another part of the process accepts.
func ReadConfig(where, text string, udp bool) (Config, string, error) {
	config, err := parseConfig(where, text, udp)
	if err != nil {
		return config, "", err
	}
	secret, err := input.ReadSecret(config.SecretFile)
	if err != nil {
		return config, "", input.Unreadable(fmt.Errorf("%s: secret_file: %w", where, err))
	}
	return config, secret, nil
}

// parseConfig names every wrong value at once, but only the first wrong type or unknown key.
func parseConfig(where, text string, udp bool) (Config, error) {
	var config Config
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&config); err != nil {
		return config, failure.Config("%s: %v", where, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return config, failure.Config("%s: something stands after the configuration", where)
	}
	if wrong := config.faults(udp); len(wrong) > 0 {
		return config, failure.Config("%s: %s", where, strings.Join(wrong, "; "))
	}
	return config, nil
}

func (c Config) faults(udp bool) []string {
	var wrong []string
	add := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	add(udp && len(c.Listen) == 0, "listen is missing: the addresses to serve on, as [\"192.168.1.2:3478\"]")
	add(!udp && len(c.Listen) > 0, "listen is for UDP, and no UDP comes here")
	for _, listen := range c.Listen {
		add(listen.Port() == 0, "listen: %s has no port", listen)
	}
	add(c.Realm == "", "realm is missing")
	add(c.SecretFile == "", "secret_file is missing")
	add(!c.RelayAddress.IsValid() || c.RelayAddress.IsUnspecified(), "relay_address must be one address of this machine that reaches the peers")
	add(!c.RelayPorts.valid(), "relay_ports: min and max must be ports, min not above max")
	add(len(c.Peers) == 0, "peers is missing: a relay without peers relays nothing")
	for _, peer := range c.Peers {
		add(!peer.Address.IsValid(), "peers: an address is missing")
		add(!peer.valid(), "peers: %s: min and max must be ports, min not above max", peer.Address)
		// Otherwise participants could send to each other's relay sockets.
		add(c.Translate.local(peer.Address) == c.RelayAddress && peer.Min <= c.RelayPorts.Max && c.RelayPorts.Min <= peer.Max,
			"relay_ports %d-%d share ports with the peer %s", c.RelayPorts.Min, c.RelayPorts.Max, peer.Address)
	}
	wrong = append(wrong, c.Translate.faults(c.Peers)...)
	add(c.Quota < 1, "quota must be 1 or more; a participant makes about 12 allocations")
	return wrong
}
