package edge

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
)

func init() { caddy.RegisterModule(Never{}) }

// Never is the module `tls.permission.lkhub_never`: no handshake may make Caddy ask an issuer. Certificates from
// tailscaled are fetched at handshakes. If tailscaled has none, because HTTPS is not enabled in the tailnet, Caddy
// would by itself ask Let's Encrypt for the name (certmagic/handshake.go, getCertDuringHandshake).
type Never struct{}

// CaddyModule tells Caddy the module's name.
func (Never) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "tls.permission.lkhub_never", New: func() caddy.Module { return new(Never) }}
}

// CertificateAllowed refuses.
func (Never) CertificateAllowed(_ context.Context, name string) error {
	return fmt.Errorf("%w: %s", caddytls.ErrPermissionDenied, name)
}

var _ caddytls.OnDemandPermission = Never{}
