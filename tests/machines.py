"""Networks to plan for: the facts that `lkhub.host.network` would gather on them."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_network

from lkhub.plan.build import build_plan
from lkhub.plan.installation import Installation
from lkhub.plan.model import Plan
from lkhub.plan.network import Interface, InterfaceKind, LookedUp, NetworkFacts
from lkhub.spec.address import Address
from lkhub.spec.load import load_spec


def interface(name: str, kind: InterfaceKind, *addresses: str) -> Interface:
    """An interface with addresses written as text: `192.168.1.5/24` if the network is known too."""
    return Interface(
        name,
        kind,
        tuple(ip_address(address.partition("/")[0]) for address in addresses),
        tuple(ip_network(address, strict=False) for address in addresses if "/" in address),
    )


LOOPBACK = interface("lo", "loopback", "127.0.0.1/8", "::1/128")
ETHERNET = interface("eth0", "lan", "192.168.1.5/24", "fd00::5/64", "fe80::5/64")
WIFI = interface("wlan0", "lan", "192.168.1.6/24")
OTHER_LAN = interface("eth1", "lan", "10.0.0.9/8", "fd01::9/64")
DOCKER = interface("docker0", "bridge", "172.17.0.1/16")
VIRTUAL = interface("virbr0", "bridge", "192.168.122.1/24")
TAILSCALE = interface("tailscale0", "vpn", "100.64.0.7/32", "fd7a:115c:a1e0::7/128")
CONTAINER = interface("veth1a2b", "container", "fe80::99/64")

# No packet goes to these addresses: only `is_global` is used, and no documentation address is global.
PUBLIC = interface("eth0", "lan", "1.2.3.4/24", "2600::4/64", "fe80::5/64")
PUBLIC_V4 = interface("eth0", "lan", "1.2.3.4/24")
PUBLIC_V6 = interface("eth0", "lan", "2600::4/64", "fe80::5/64")


# No name server was asked.
NOBODY = LookedUp()


def make_installation(state: str = "/var/lib/lkhub", folder: str = "/etc/lkhub") -> Installation:
    """An installation at made-up paths."""
    return Installation(
        engine="/opt/lkhub/lkhub-engine",
        python="/usr/bin/python3",
        state=state,
        folder=folder,
        user="lkhub",
        spec=f"{folder}/hub.yaml",
    )


INSTALLATION = make_installation()


def make_facts(
    *interfaces: Interface,
    routes: Iterable[str] = ("eth0",),
    looked_up: LookedUp = NOBODY,
) -> NetworkFacts:
    """The network of a machine with these interfaces, by default those of a laptop in a home network, with Docker and
    Tailscale."""
    return NetworkFacts(
        interfaces=interfaces or (LOOPBACK, DOCKER, TAILSCALE, CONTAINER, ETHERNET, WIFI),
        default_routes=tuple(routes),
        looked_up=looked_up,
    )


def resolved(*addresses: str) -> LookedUp:
    """The name servers' answers about the hub's domain."""
    return LookedUp(domain=_addresses(addresses))


def _addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    return tuple(ip_address(text) for text in texts)


HOME = make_facts(LOOPBACK, ETHERNET)
MACHINES = {
    "laptop": make_facts(),
    "offline": make_facts(LOOPBACK, DOCKER, TAILSCALE, routes=()),
    "two-lans": make_facts(LOOPBACK, WIFI, interface("eth1", "lan", "10.0.0.9/8"), routes=()),
    # Every kind of interface of a developer's machine, in two LANs.
    "zoo": make_facts(LOOPBACK, DOCKER, VIRTUAL, TAILSCALE, CONTAINER, OTHER_LAN, ETHERNET),
    "tailnet": make_facts(looked_up=LookedUp(tailnet="laptop.tail1234.ts.net")),
    "lan-v6": make_facts(LOOPBACK, interface("eth0", "lan", "fd00::5/64", "fe80::5/64")),
    "vps": make_facts(LOOPBACK, DOCKER, PUBLIC),
    "vps-v4": make_facts(LOOPBACK, PUBLIC_V4),
    "vps-v6": make_facts(LOOPBACK, PUBLIC_V6),
    # Behind a router: the address of the name, and the address that a STUN server sees.
    "home": replace(HOME, looked_up=resolved("1.2.3.4")),
    "home-dual": make_facts(
        LOOPBACK, PUBLIC_V6, WIFI, routes=("eth0", "wlan0"), looked_up=resolved("1.2.3.4", "2600::4")
    ),
    "home-unnamed": replace(HOME, looked_up=resolved()),
    "home-misnamed": replace(HOME, looked_up=resolved("192.168.1.5", "fd00::5")),
    "home-seen": replace(HOME, looked_up=LookedUp(stun=ip_address("1.2.3.4"))),
    "home-unseen": replace(HOME, looked_up=LookedUp(stun_failure="no answer within 3 s")),
}


def plan_sound(spec: str, facts: NetworkFacts, installation: Installation) -> Plan:
    """The plan of a spec without faults."""
    loaded = load_spec(spec.encode())
    plan = build_plan(loaded, facts, installation)
    loaded.require_sound()
    assert plan
    return plan
