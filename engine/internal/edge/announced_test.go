package edge

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/mholt/caddy-l4/layer4"
	"github.com/pires/go-proxyproto"
	"go.uber.org/zap"
)

// A proxy that says where its clients are may go on, and so may a client without a proxy. A proxy that hides its
// clients is recorded.
func TestAProxyThatHidesItsClientsIsKeptInMind(t *testing.T) {
	const hello = "\x16\x03\x01\x00\x05hello"
	for _, c := range []struct {
		name, says string
		wrapped    bool
		heard      string
		counted    int64
	}{
		{"announced", "PROXY TCP4 192.0.2.9 192.0.2.1 1000 443\r\n" + hello, true, hello, 0},
		{"no proxy", hello, false, hello, 0},
		{"hidden", hello, true, "", 1},
		{"a check that says nothing", "", true, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			unannounced = noted{}
			client, server := net.Pipe()
			defer client.Close()
			go func() {
				_, _ = io.WriteString(client, c.says)
				if c.counted == 0 {
					_ = client.Close()
				}
			}()
			var conn net.Conn = server
			if c.wrapped {
				conn = proxyproto.NewConn(server)
			}
			heard := ""
			next := layer4.HandlerFunc(func(cx *layer4.Connection) error {
				all, _ := io.ReadAll(cx)
				heard = string(all)
				return nil
			})
			cx := layer4.WrapConnection(conn, bytes.NewBuffer(nil).Bytes(), zap.NewNop())
			err := (&Announced{logger: zap.NewNop()}).Handle(cx, next)
			if heard != c.heard || errors.Is(err, proxyproto.ErrNoProxyProtocol) != (c.counted > 0) {
				t.Errorf("heard %q, %v", heard, err)
			}
			last := unannounced.read()
			if (last != nil) != (c.counted > 0) || last != nil && (last.Count != c.counted || last.At.IsZero()) {
				t.Errorf("%+v", last)
			}
		})
	}
}
