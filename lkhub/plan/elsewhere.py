"""The network of a machine that is not seen: for what is rendered here and runs elsewhere.

Which ports a hub has, and how long it waits, depends on the spec alone. Addresses do not: what is rendered for another
machine must not show them.
"""

from ipaddress import ip_address

from lkhub.plan.network import Interface, InterfaceKind, LookedUp, NetworkFacts
from lkhub.spec.address import Address, AskStun
from lkhub.spec.model import Spec

_LOOPBACK = Interface("lo", "loopback", (ip_address("127.0.0.1"),))
_PRIVATE = ip_address("192.168.0.2")
# A public address that belongs to no machine: RFC 7526 has retired its network, and lets no one else have it.
_PUBLIC = ip_address("192.88.99.2")
_TAILNET = Interface("tailscale0", "vpn", (ip_address("100.64.0.2"),))


def imagine_network(spec: Spec) -> NetworkFacts:
    """A network on which a plan for this spec can be built: with the interfaces and the addresses that the spec names,
    else with an address of the kind that its reach needs."""
    names = [name for name in spec.media.interfaces if name != _TAILNET.name] or ["eth0"]
    addresses = _list_addresses(spec)
    # The first interface carries what the spec advertises; each other one has an address of its own.
    cards = [_card(names[0], addresses)]
    cards += [_card(name, (_PRIVATE + number,)) for number, name in enumerate(names[1:], 1)]
    return NetworkFacts(
        interfaces=(_LOOPBACK, *cards, _TAILNET), default_routes=(names[0],), looked_up=LookedUp(tailnet="hub.ts.net")
    )


def _list_addresses(spec: Spec) -> tuple[Address, ...]:
    told = spec.media.advertise
    if isinstance(told, tuple) and not isinstance(told, AskStun):
        return tuple(address for address in told if not address.is_loopback) or (_PRIVATE,)
    return (_PUBLIC,) if spec.reach == "public" else (_PRIVATE,)


def _card(name: str, addresses: tuple[Address, ...]) -> Interface:
    kind: InterfaceKind = "lan"
    return Interface(name, kind, addresses)
