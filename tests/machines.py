"""Machines to plan for: what `lkhub.host.node` would have gathered on them."""

from collections.abc import Iterable
from ipaddress import ip_address

from lkhub.plan.facts import Interface, InterfaceKind, NodeFacts


def interface(name: str, kind: InterfaceKind, *addresses: str) -> Interface:
    """An interface with addresses written as text."""
    return Interface(name, kind, tuple(ip_address(address) for address in addresses))


LOOPBACK = interface("lo", "loopback", "127.0.0.1", "::1")
ETHERNET = interface("eth0", "lan", "192.168.1.5", "fd00::5", "fe80::5")
WIFI = interface("wlan0", "lan", "192.168.1.6")
DOCKER = interface("docker0", "bridge", "172.17.0.1")
TAILSCALE = interface("tailscale0", "vpn", "100.64.0.7", "fd7a:115c:a1e0::7")
CONTAINER = interface("veth1a2b", "container", "fe80::99")


def make_facts(
    *interfaces: Interface,
    routes: Iterable[str] = ("eth0",),
    state: str = "/var/lib/lkhub",
    folder: str = "/etc/lkhub",
) -> NodeFacts:
    """A machine with these interfaces, by default those of a laptop at home with Docker and Tailscale."""
    return NodeFacts(
        interfaces=interfaces or (LOOPBACK, DOCKER, TAILSCALE, CONTAINER, ETHERNET, WIFI),
        default_routes=tuple(routes),
        engine="/opt/lkhub/lkhub-engine",
        python="/usr/bin/python3",
        state=state,
        folder=folder,
    )


MACHINES = {
    "laptop": make_facts(),
    "offline": make_facts(LOOPBACK, DOCKER, TAILSCALE, routes=()),
    "two-lans": make_facts(LOOPBACK, WIFI, interface("eth1", "lan", "10.0.0.9"), routes=()),
}
