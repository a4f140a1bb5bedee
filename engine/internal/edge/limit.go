package edge

import (
	"errors"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/mholt/caddy-l4/layer4"

	"lkhub/engine/internal/connlimit"
)

func init() { caddy.RegisterModule(new(Limit)) }

// Limit is the handler `layer4.handlers.lkhub_limit`. It limits the open connections of one client, and closes another
// one at once. Behind a proxy, the client is the address that the proxy names.
type Limit struct {
	PerAddress int `json:"per_address"`
}

// CaddyModule tells Caddy the module's name.
func (*Limit) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "layer4.handlers.lkhub_limit", New: func() caddy.Module { return new(Limit) }}
}

// Validate refuses a limit that would let no client in.
func (l *Limit) Validate() error {
	if l.PerAddress < 1 {
		return errors.New("lkhub_limit: per_address must be at least 1")
	}
	return nil
}

// Handle counts the connection for as long as it is open.
func (l *Limit) Handle(cx *layer4.Connection, next layer4.Handler) error {
	client := connlimit.ClientOf(cx.RemoteAddr())
	if !streaming().Enter(client, l.PerAddress) {
		return nil
	}
	defer streaming().Leave(client)
	return next.Handle(cx)
}

// streaming is not a field of Limit, because connections may outlive the configuration under which they came.
var streaming = sync.OnceValue(func() *connlimit.Counter { return connlimit.New(maxPlaces()) })

var (
	_ caddy.Validator    = (*Limit)(nil)
	_ layer4.NextHandler = (*Limit)(nil)
)
