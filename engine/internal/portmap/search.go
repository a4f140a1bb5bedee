package portmap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

const (
	// A device may take this long to answer (UPnP Device Architecture 1.1, section 1.3.2): one second if it is asked
	// alone, MX if all devices are asked.
	unicastWait   = time.Second
	multicastWait = 2 * time.Second

	httpWait = 5 * time.Second

	// A description has some kilobytes, and other answers have less. Parsed, a description may take 300 times its size.
	maxAnswer = 1 << 17

	// A router of version 2 also answers a search for version 1.
	routerDevice = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
)

var multicast = netip.MustParseAddrPort("239.255.255.250:1900")

// search returns the URL of the gateway's description, and ignores other devices that claim to be routers. goupnp's
// search can't be used: it always waits for the whole time, and asks on every interface.
func (p endpoints) search(ctx context.Context) (*url.URL, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.local, 0)))
	if err != nil {
		return nil, noSearch(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	for _, search := range p.searches {
		request := fmt.Sprintf("M-SEARCH * HTTP/1.1\r\nHOST: %s\r\nMAN: \"ssdp:discover\"\r\nMX: %d\r\nST: %s\r\n\r\n",
			search.target, multicastWait/time.Second, routerDevice)
		if _, err := conn.WriteToUDPAddrPort([]byte(request), search.target); err != nil {
			return nil, noSearch(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(search.wait))
		location, err := p.hear(conn)
		if err == nil {
			return location, nil
		}
		if !isTimeout(err) {
			return nil, noSearch(err)
		}
	}
	return nil, noAnswer("it does not answer a search")
}

// hear waits until the gateway says where its description is. Any machine of the network may answer, and name an address
// of the gateway that must not be asked.
func (p endpoints) hear(conn *net.UDPConn) (*url.URL, error) {
	buffer := make([]byte, 1<<16)
	for {
		length, sender, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return nil, err
		}
		if sender.Addr().Unmap() != p.gateway {
			continue
		}
		answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(buffer[:length])), nil)
		if err != nil {
			continue
		}
		location, err := answer.Location()
		if err == nil && location.Scheme == "http" && location.Hostname() == p.gateway.String() {
			return location, nil
		}
	}
}

// httpClient reaches only the gateway, whatever a description, a redirection or a proxy of the environment says.
func (p endpoints) httpClient() *http.Client {
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.local, 0))}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, err := net.SplitHostPort(address); err != nil || host != p.gateway.String() {
			return nil, fmt.Errorf("%s is not the router", address)
		}
		return dialer.DialContext(ctx, network, address)
	}
	return &http.Client{
		Timeout:       httpWait,
		Transport:     bounded{&http.Transport{DialContext: dial}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded ends an answer that is too long.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(request)
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}

func isTimeout(err error) bool {
	var known net.Error
	return errors.As(err, &known) && known.Timeout()
}

func noSearch(err error) error { return noAnswer(fmt.Sprintf("no search on the network: %v", err)) }
