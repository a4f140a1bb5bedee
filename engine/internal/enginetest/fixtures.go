// Package enginetest has what the tests of several packages share: ports, files, network namespaces, the control socket.
package enginetest

import (
	"fmt"
	"os"
	"testing"
)

// WritePrivate writes files, text by path, that no other user may read.
func WritePrivate(t *testing.T, files map[string]string) {
	t.Helper()
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// LiveKitYAML is what lkhub renders for reach: local.
func LiveKitYAML(httpPort, udpPort, keyFile, turnServers string) string {
	return fmt.Sprintf(`port: %s
bind_addresses: [127.0.0.1]
key_file: %s
rtc:
  node_ip: 127.0.0.1
  udp_port: %s
  tcp_port: 0
  use_external_ip: false
  enable_loopback_candidate: true
  interfaces: {includes: [lo]}
  turn_servers: [%s]
turn: {enabled: false}
logging: {json: true, level: info}
`, httpPort, keyFile, udpPort, turnServers)
}

// RelayJSON relays to one port of loopback.
func RelayJSON(listen, secretFile string) string {
	return fmt.Sprintf(`{"listen": [%q], "realm": "hub", "secret_file": %q,
"relay_address": "127.0.0.1", "relay_ports": {"min": 30000, "max": 39999},
"peers": [{"address": "127.0.0.1", "min": 7882, "max": 7882}], "quota": 24}`, listen, secretFile)
}
