package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/pion/stun/v3"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"
)

// turnAccess is how pion reaches TURN servers. It connects where the request says, trusts the request's authorities,
// records the outcome, and also uses IPv6. By itself pion/ice asks its network for IPv4 only, and gives its TLS no pool
// of certificates (gather.go), but it leaves both to the proxy and the network that it is given.
type turnAccess struct {
	ctx    context.Context
	access access
	urls   []string // of the servers

	mu      sync.Mutex
	failed  *fault // the first fault
	waiting *fault // the fault if the present wait fails
	chain   []*x509.Certificate
	host    string // the name for which the chain was presented
}

// settings makes pion use this access.
func (w *turnAccess) settings(engine *webrtc.SettingEngine) {
	network, err := stdnet.NewNet()
	if err != nil {
		w.fail(failed(StageGather, NoOwnAddress, "this machine's network interfaces can't be listed: %v", err))
		return
	}
	engine.SetNet(&turnNet{network, w})
	engine.SetICEProxyDialer(turnDialer{w})
}

// faults returns why a TURN server was not reached, and the fault if the present wait fails; each may be nil.
func (w *turnAccess) faults() (failed, waiting *fault) {
	if w == nil {
		return nil, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed, w.waiting
}

// servers are the URLs of the TURN servers.
func (w *turnAccess) servers() []string {
	if w == nil {
		return nil
	}
	return w.urls
}

// judge says what libwebrtc would make of the presented chain, if there was one.
func (w *turnAccess) judge(r *Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.chain) == 0 {
		return
	}
	ok, detail := judgeNative(w.chain, w.host, time.Now(), libwebrtcRoots())
	r.Native, r.NativeDetail = &ok, &detail
}

func (w *turnAccess) fail(f *fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = f
	}
}

func (w *turnAccess) wait(f *fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = f
}

func (w *turnAccess) presented(host string, chain []*x509.Certificate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.host, w.chain = host, chain
}

// check resolves the servers, and finds out whether this machine could send to them at all.
func (w *turnAccess) check(urls []string) *fault {
	w.urls = urls
	var last *fault
	for _, text := range urls {
		url, err := stun.ParseURI(text)
		if err != nil {
			continue
		}
		addresses, f := w.access.hosts.find(w.ctx, url.Host)
		if f != nil {
			f.detail = text + ": " + f.detail
			last = f
			continue
		}
		at := netip.AddrPortFrom(addresses[0], uint16(url.Port)).String()
		conn, err := net.Dial("udp", at) // sends nothing
		if err == nil {
			_ = conn.Close()
			return nil
		}
		last = failed(StageGather, dialReason(err, at), "%s: %s", text, explainDial(err, at)).
			with("address", at).asUntried(lacksIPv6(err, at))
	}
	return last
}

// turnDialer is for TURN over TCP and TLS: pion takes it for a proxy, and leaves TLS to it.
type turnDialer struct{ *turnAccess }

// Dial goes through the stages dns, tcp and tls of the TURN server.
func (d turnDialer) Dial(_, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d.wait(failed(StageTCP, Silent, "the TURN server %s did not answer", address).with("address", address))
	conn, f := d.access.hosts.dial(d.ctx, host, port)
	if f != nil {
		f.detail = "the TURN server: " + f.detail
		d.fail(f)
		return nil, f
	}
	at := conn.RemoteAddr().String()
	d.wait(failed(StageTLS, TLSSilent, "the TURN server %s did not answer the TLS handshake", at).with("address", at))
	encrypted, err := d.handshake(conn, host)
	if err != nil {
		f := explainTLS(at, err, host, time.Now())
		f.detail = "the TURN server " + f.detail
		d.fail(f)
		_ = conn.Close()
		return nil, f
	}
	d.wait(nil)
	return asIPv4Conn{d.recognize(encrypted, host, port)}, nil
}

func (d turnDialer) handshake(conn net.Conn, host string) (*tls.Conn, error) {
	encrypted := tls.Client(conn, d.access.tlsConfig(host))
	err := encrypted.HandshakeContext(d.ctx)
	if err == nil {
		d.presented(host, encrypted.ConnectionState().PeerCertificates)
	}
	var unverified *tls.CertificateVerificationError
	if errors.As(err, &unverified) {
		d.presented(host, unverified.UnverifiedCertificates)
	}
	return encrypted, err
}

// turnNet is for TURN over UDP, and for the addresses of all TURN servers.
type turnNet struct {
	*stdnet.Net
	turn *turnAccess
}

func (n *turnNet) ResolveUDPAddr(_, address string) (*net.UDPAddr, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addresses, f := n.turn.access.hosts.find(n.turn.ctx, host)
	if f != nil {
		return nil, f
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(addresses[0], uint16(number))), nil
}

// ListenPacket opens a socket that can send to both families, if the machine has both.
func (n *turnNet) ListenPacket(network, address string) (net.PacketConn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().IsUnspecified() {
		return n.Net.ListenPacket(network, address)
	}
	conn, err := n.Net.ListenPacket("udp", net.JoinHostPort("::", strconv.Itoa(int(at.Port()))))
	if err != nil {
		return n.Net.ListenPacket(network, address)
	}
	return asIPv4Packets{conn}, nil
}

// asIPv4Conn and asIPv4Packets hide that they are, or may be, IPv6. pion's client would ask for a relay address of its
// socket's family. libwebrtc asks for no family (p2p/base/turn_port.cc) and takes what it gets, and so does the probe.
type (
	asIPv4Conn    struct{ net.Conn }
	asIPv4Packets struct{ net.PacketConn }
)

func (c asIPv4Conn) LocalAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4zero, Port: c.Conn.LocalAddr().(*net.TCPAddr).Port}
}

func (c asIPv4Packets) LocalAddr() net.Addr {
	return &net.UDPAddr{IP: net.IPv4zero, Port: c.PacketConn.LocalAddr().(*net.UDPAddr).Port}
}
