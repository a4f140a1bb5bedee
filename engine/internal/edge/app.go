package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddypki"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
)

func init() { caddy.RegisterModule(new(App)) }

// App is the Caddy app `lkhub`. It subscribes to events about certificates. Subscriptions in the configuration would be
// made too late, when other apps already run (caddyevents/app.go, Start). App also keeps Caddy from changing the
// machine's trust stores.
type App struct {
	// Relay is the configuration of the relay for TURN over TLS, which gets the connections that are handed over to
	// `relay`. Caddy does not run the relay: the relay goes on under a new configuration that doesn't change it.
	Relay json.RawMessage `json:"relay,omitempty"`

	// Proxies are the trusted proxies before the hub, each of which stands for many clients.
	Proxies *[]netip.Prefix `json:"proxies,omitempty"`
}

// CaddyModule tells Caddy the module's name.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "lkhub", New: func() caddy.Module { return new(App) }}
}

// Provision subscribes to events, and refuses what must be refused before anything is started.
func (a *App) Provision(ctx caddy.Context) error {
	if err := subscribe(ctx); err != nil {
		return err
	}
	if err := askNoIssuer(ctx); err != nil {
		return err
	}
	return trustNothing(ctx)
}

func subscribe(ctx caddy.Context) error {
	app, err := ctx.App("events")
	if err != nil {
		return err
	}
	for name, handle := range map[string]event{
		"cert_failed":   failures.add,
		"cert_obtained": failures.clear,
	} {
		if err := app.(*caddyevents.App).On(name, handle); err != nil {
			return fmt.Errorf("subscribing to %s: %w", name, err)
		}
	}
	return nil
}

// askNoIssuer refuses a configuration in which a handshake could make Caddy ask an issuer; see Never.
func askNoIssuer(ctx caddy.Context) error {
	app, err := ctx.App("tls")
	if err != nil {
		return err
	}
	automation := app.(*caddytls.TLS).Automation
	for _, policy := range automation.Policies {
		if (policy.OnDemand || len(policy.Managers) > 0) && automation.OnDemand == nil {
			return errors.New("tls.automation.on_demand.permission is missing, beside get_certificate: lkhub_never")
		}
	}
	return nil
}

// trustNothing keeps Caddy from installing a root into the trust stores of the system, Firefox and Java, as Caddy does
// by default. That includes the root of Caddy's own CA `local`. Caddy makes this CA, even if the configuration does not
// name it, as soon as certificates are automated for an address or a name that is not public (caddytls/tls.go,
// Provision).
func trustNothing(ctx caddy.Context) error {
	app, err := ctx.AppIfConfigured("pki") // now, as the app may exist without being configured
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil
	}
	if err != nil {
		return err
	}
	never := false
	for _, ca := range app.(*caddypki.PKI).CAs {
		ca.InstallTrust = &never
	}
	return nil
}

// Start does nothing: Provision has subscribed.
func (*App) Start() error { return nil }

// Stop does nothing: subscriptions end with their configuration.
func (*App) Stop() error { return nil }

type event func(map[string]any)

func (e event) Handle(_ context.Context, happened caddy.Event) error {
	e(happened.Data)
	return nil
}

var _ caddy.Provisioner = (*App)(nil)
