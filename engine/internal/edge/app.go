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

// App is the Caddy app `lkhub`. It listens to what happens to certificates: subscriptions in the configuration would be
// made while other apps are running already (caddyevents/app.go, Start), and late. And it keeps Caddy's hands off the
// machine's trust stores.
type App struct {
	// Relay is the configuration of the relay for TURN over TLS, which gets what is handed over to `relay`. Not Caddy
	// runs it: it outlives configurations that leave it as it is.
	Relay json.RawMessage `json:"relay,omitempty"`

	// Proxies are those in front, each of which speaks for many clients.
	Proxies *[]netip.Prefix `json:"proxies,omitempty"`
}

// CaddyModule tells Caddy the module's name.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "lkhub", New: func() caddy.Module { return new(App) }}
}

// Provision subscribes, and forbids what must not be done before anything is started.
func (a *App) Provision(ctx caddy.Context) error {
	if err := subscribe(ctx); err != nil {
		return err
	}
	if err := askNobody(ctx); err != nil {
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

// askNobody refuses a configuration in which a handshake could make Caddy ask an issuer; see Never.
func askNobody(ctx caddy.Context) error {
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

// trustNothing keeps Caddy from installing a root into the stores of the system, Firefox and Java, as it does by
// default: also that of its CA `local`, which it makes though nobody configured it as soon as certificates are
// automated for an address or a name that is not public (caddytls/tls.go, Provision).
func trustNothing(ctx caddy.Context) error {
	app, err := ctx.AppIfConfigured("pki") // by now, if it comes without being configured
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

// Start does nothing; all is subscribed.
func (*App) Start() error { return nil }

// Stop does nothing; subscriptions end with their configuration.
func (*App) Stop() error { return nil }

type event func(map[string]any)

func (e event) Handle(_ context.Context, happened caddy.Event) error {
	e(happened.Data)
	return nil
}

var _ caddy.Provisioner = (*App)(nil)
