package portmap

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// uplink is a router and this machine's address towards it, both IPv4.
type uplink struct {
	gateway, local netip.Addr
}

// findGateways lists the gateways of this machine's IPv4 default routes, in the order of their use. Go's libraries
// can't be used: they take the first route of the table (jackpal/gateway), or ask the kernel for the route to some
// address (libp2p/go-netroute), so that a VPN answers instead of the home router.
func findGateways() []netip.Addr {
	if runtime.GOOS == "darwin" {
		said, _ := exec.Command("/sbin/route", "-n", "get", "default").Output()
		return readRouteGet(string(said))
	}
	table, _ := os.ReadFile("/proc/net/route")
	return readRoutes(string(table))
}

const rtfGateway = 0x2 // linux/route.h

// readRoutes reads /proc/net/route (net/ipv4/fib_trie.c), and returns the gateways of default routes by metric.
func readRoutes(table string) []netip.Addr {
	type route struct {
		metric  int
		gateway netip.Addr
	}
	var routes []route
	for _, line := range strings.Split(table, "\n") {
		row := strings.Fields(line)
		if len(row) < 8 || row[1] != "00000000" || row[7] != "00000000" {
			continue
		}
		raw, err := hex.DecodeString(row[2])
		flags, badFlags := strconv.ParseUint(row[3], 16, 32)
		metric, badMetric := strconv.Atoi(row[6])
		if err != nil || badFlags != nil || badMetric != nil || len(raw) != 4 || flags&rtfGateway == 0 {
			continue
		}
		// The kernel prints the word in this machine's byte order.
		gateway := make([]byte, 4)
		binary.NativeEndian.PutUint32(gateway, binary.BigEndian.Uint32(raw))
		routes = append(routes, route{metric, netip.AddrFrom4([4]byte(gateway))})
	}
	slices.SortStableFunc(routes, func(a, b route) int {
		return cmp.Or(cmp.Compare(a.metric, b.metric), a.gateway.Compare(b.gateway))
	})
	gateways := make([]netip.Addr, 0, len(routes))
	for _, r := range routes {
		gateways = append(gateways, r.gateway)
	}
	return gateways
}

var gatewayLine = regexp.MustCompile(`(?m)^\s*gateway: ([\d.]+)$`)

// readRouteGet reads what macOS's `route -n get default` prints.
func readRouteGet(said string) []netip.Addr {
	found := gatewayLine.FindStringSubmatch(said)
	if found == nil {
		return nil
	}
	gateway, err := netip.ParseAddr(found[1])
	if err != nil {
		return nil
	}
	return []netip.Addr{gateway}
}

// findUplink returns the uplink to the first of the gateways.
func findUplink(gateways []netip.Addr) (uplink, *Failure) {
	if len(gateways) == 0 {
		return uplink{}, &Failure{NoRouter, "this machine has no router: there is no IPv4 default route"}
	}
	gateway := gateways[0]
	// This sends nothing: it only asks the kernel which address it would send from.
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(gateway, 9)))
	if err != nil {
		return uplink{}, &Failure{NoRouter, fmt.Sprintf("this machine does not reach its router at %s: %v", gateway, err)}
	}
	defer conn.Close()
	return uplink{gateway, conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()}, nil
}
