package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"lkhub/engine/internal/roots"
)

// access is how hosts are reached and which authorities are trusted. For a hub that tests itself, both may differ from
// what other clients use.
type access struct {
	hosts hosts
	roots *x509.CertPool // nil: this machine's
}

// newAccess checks these parts of the request.
func newAccess(resolve map[string]string, caFile string) (access, []error) {
	var faults []error
	w := access{hosts: hosts{}}
	for host, text := range resolve {
		address, err := netip.ParseAddr(text)
		if err != nil || host == "" {
			faults = append(faults, fmt.Errorf("resolve: %q leads to %q, which is no IP address", host, text))
		}
		w.hosts[hostKey(host)] = address.Unmap()
	}
	var err error
	if w.roots, err = roots.With(caFile); err != nil {
		faults = append(faults, fmt.Errorf("ca_file: %w", err))
	}
	return w, faults
}

// hosts are resolve overrides: for names, and for addresses, the address to use on this machine. A machine behind a NAT
// may reach itself neither by its outside address nor by its name.
type hosts map[string]netip.Addr

// hostKey is the same for all spellings of a name or an address.
func hostKey(host string) string {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// find goes through the stage dns. It returns at least one address, the preferred one first.
func (h hosts) find(ctx context.Context, host string) ([]netip.Addr, *fault) {
	if address, ok := h[hostKey(host)]; ok {
		return []netip.Addr{address}, nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	var unknown *net.DNSError
	isDNS := errors.As(err, &unknown)
	switch {
	case isDNS && unknown.IsNotFound, err == nil && len(found) == 0:
		return nil, failed(StageDNS, NameUnknown, "the name %s has no address", host).with("name", host)
	case isDNS && unknown.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		server := ""
		if isDNS {
			server = unknown.Server
		}
		return nil, failed(StageDNS, LookUpSilent, "the name %s can't be looked up: no answer from the name server%s",
			host, spaced(server)).with("name", host).with("server", server)
	case err != nil:
		return nil, failed(StageDNS, LookUpFailed, "the name %s can't be looked up: %v", host, err).with("name", host)
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found, nil
}

// dial goes through the stages dns and tcp.
func (h hosts) dial(ctx context.Context, host, port string) (net.Conn, *fault) {
	if _, f := h.find(ctx, host); f != nil {
		return nil, f
	}
	if address, ok := h[hostKey(host)]; ok {
		host = address.String()
	}
	// By name: the dialer shares the time among all addresses.
	address := net.JoinHostPort(host, port)
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		return conn, nil
	}
	var operation *net.OpError
	if errors.As(err, &operation) && operation.Addr != nil {
		address = operation.Addr.String()
	}
	return nil, failed(StageTCP, dialReason(err, address), "%s", explainDial(err, address)).
		with("address", address).asUntried(lacksIPv6(err, address))
}

func spaced(text string) string {
	if text == "" {
		return ""
	}
	return " " + text
}

// addresses are the overrides for hosts that are addresses.
func (h hosts) addresses() map[netip.Addr]netip.Addr {
	found := map[netip.Addr]netip.Addr{}
	for host, address := range h {
		if named, err := netip.ParseAddr(host); err == nil {
			found[named] = address
		}
	}
	return found
}

func dialReason(err error, address string) Reason {
	switch {
	case lacksIPv6(err, address):
		return NoIPv6
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Silent
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Unreachable
	default:
		return ConnectFailed
	}
}

func explainDial(err error, address string) string {
	switch dialReason(err, address) {
	case NoIPv6:
		return "this machine has no route to IPv6 addresses, such as " + address
	case Refused:
		return "connection refused by " + address
	case Silent:
		return "no answer from " + address
	case Unreachable:
		return "no route to " + address
	default:
		return err.Error()
	}
}

// lacksIPv6 detects a machine that has only IPv4, which says nothing about the server.
func lacksIPv6(err error, address string) bool {
	at, failed := netip.ParseAddrPort(address)
	missing := errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)
	return missing && failed == nil && at.Addr().Is6()
}
