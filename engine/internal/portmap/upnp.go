package portmap

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/huin/goupnp"
	"github.com/huin/goupnp/dcps/internetgateway2"
	"github.com/huin/goupnp/soap"
)

// Error codes of WANIPConnection:2, section 2.5.
const (
	noSuchEntry      = 714
	inConflict       = 718
	onlyPermanent    = 725
	inConflictOfKind = 729
)

// connection is what WANIPConnection and WANPPPConnection have in common.
type connection interface {
	GetServiceClient() *goupnp.ServiceClient
	GetExternalIPAddressCtx(context.Context) (string, error)
	GetSpecificPortMappingEntryCtx(ctx context.Context, remote string, external uint16, protocol string) (
		internal uint16, client string, enabled bool, description string, lease uint32, err error)
	AddPortMappingCtx(ctx context.Context, remote string, external uint16, protocol string, internal uint16,
		client string, enabled bool, description string, lease uint32) error
	DeletePortMappingCtx(ctx context.Context, remote string, external uint16, protocol string) error
}

type upnp struct {
	endpoints
	service connection // nil before the search
	address netip.Addr // the router's own; not valid before the router was asked
}

// entry is a mapping that the router has.
type entry struct {
	internal    uint16
	client      string
	description string
	lease       uint32
}

func (u *upnp) means() string { return meansUPnP }
func (u *upnp) nonce() string { return "" }

func (u *upnp) request(ctx context.Context, port Port, seconds uint32) (grant, error) {
	there, err := u.find(ctx, port)
	if err != nil {
		return grant{}, err
	}
	if there != nil && there.description != port.Name {
		if there.client != u.local.String() || there.internal != port.Port {
			return grant{}, refused(fmt.Sprintf("port %d goes to %s", port.Port, there.client))
		}
		lease := &there.lease
		if there.lease == 0 {
			lease = nil
		}
		return u.granted(ctx, port, lease, false)
	}
	if there != nil && there.client != u.local.String() {
		// The mapping is ours, from before this machine's address changed.
		if err := u.remove(ctx, port); err != nil {
			return grant{}, err
		}
	}
	lease := &seconds
	err = u.add(ctx, port, seconds)
	switch codeOf(err) {
	case inConflict, inConflictOfKind:
		return grant{}, refused(fmt.Sprintf("port %d is taken", port.Port))
	case onlyPermanent:
		lease = nil
		err = u.add(ctx, port, 0)
	}
	if err != nil {
		return grant{}, refused(explain(err))
	}
	given, err := u.granted(ctx, port, lease, true)
	if err != nil {
		_ = u.remove(ctx, port) // it is on no record, and without a lease it would stay for good
	}
	return given, err
}

func (u *upnp) release(ctx context.Context, port Port) error {
	there, err := u.find(ctx, port)
	if err != nil || there == nil {
		return err
	}
	return u.remove(ctx, port)
}

func (u *upnp) granted(ctx context.Context, port Port, lease *uint32, own bool) (grant, error) {
	if !u.address.IsValid() {
		said, err := u.service.GetExternalIPAddressCtx(ctx)
		if err != nil {
			return grant{}, refused(explain(err))
		}
		if u.address, err = netip.ParseAddr(strings.TrimSpace(said)); err != nil || !u.address.Is4() {
			u.address = netip.IPv4Unspecified() // none: it is not connected yet
		}
	}
	return grant{port.Port, u.address, lease, own}, nil
}

// find returns the router's mapping for this external port, or nil.
func (u *upnp) find(ctx context.Context, port Port) (*entry, error) {
	if u.service == nil {
		service, err := u.open(ctx)
		if err != nil {
			return nil, err
		}
		u.service = service
	}
	internal, client, _, description, lease, err := u.service.GetSpecificPortMappingEntryCtx(
		ctx, "", port.Port, strings.ToUpper(port.Protocol))
	switch {
	case err == nil:
		return &entry{internal, strings.TrimSpace(client), description, lease}, nil
	case codeOf(err) == noSuchEntry:
		return nil, nil
	default:
		return nil, refused(explain(err))
	}
}

func (u *upnp) add(ctx context.Context, port Port, seconds uint32) error {
	return u.service.AddPortMappingCtx(ctx, "", port.Port, strings.ToUpper(port.Protocol), port.Port,
		u.local.String(), true, port.Name, seconds)
}

func (u *upnp) remove(ctx context.Context, port Port) error {
	err := u.service.DeletePortMappingCtx(ctx, "", port.Port, strings.ToUpper(port.Protocol))
	if err != nil {
		return refused(explain(err))
	}
	return nil
}

// open searches for the router and reads its description.
func (u *upnp) open(ctx context.Context) (connection, error) {
	location, err := u.search(ctx)
	if err != nil {
		return nil, err
	}
	client := u.httpClient()
	goupnp.HTTPClientDefault = client // DeviceByURLCtx takes no other
	root, err := goupnp.DeviceByURLCtx(ctx, location)
	if err != nil {
		return nil, noAnswer(explain(err))
	}
	for _, service := range listServices(root, location) {
		// A device's description must not lead to any other machine.
		if service.GetServiceClient().Service.ControlURL.URL.Hostname() == u.gateway.String() {
			service.GetServiceClient().SOAPClient.HTTPClient = *client
			return service, nil
		}
	}
	return nil, noAnswer("it speaks UPnP and offers no port mapping")
}

// listServices lists the services that map ports, the latest version first.
func listServices(root *goupnp.RootDevice, location *url.URL) []connection {
	// The only error of each function is that there is no such service.
	two, _ := internetgateway2.NewWANIPConnection2ClientsFromRootDevice(root, location)
	one, _ := internetgateway2.NewWANIPConnection1ClientsFromRootDevice(root, location)
	dialled, _ := internetgateway2.NewWANPPPConnection1ClientsFromRootDevice(root, location)
	return append(append(asConnections(two), asConnections(one)...), asConnections(dialled)...)
}

func asConnections[C connection](clients []C) []connection {
	found := make([]connection, 0, len(clients))
	for _, client := range clients {
		found = append(found, client)
	}
	return found
}

// codeOf is the UPnP error code of a router that understood and refused, or 0 for any other error.
func codeOf(err error) int {
	var fault *soap.SOAPFaultError
	if errors.As(err, &fault) {
		return fault.Detail.UPnPError.Errorcode
	}
	return 0
}

func explain(err error) string {
	var fault *soap.SOAPFaultError
	if errors.As(err, &fault) && codeOf(err) != 0 {
		return fmt.Sprintf("UPnP error %d, %s", codeOf(err), fault.Detail.UPnPError.ErrorDescription)
	}
	return err.Error()
}
