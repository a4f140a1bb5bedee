"""The internet in small: a hub's machine and a client's with a router between them, which may translate addresses.

The public addresses are real ones of others, since nothing else counts as public. No packet to them leaves the
namespaces: there is no way out of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.kit.netns import Namespace, connect, namespace
from tests.namespaces.lan import NAME_SERVER

DOMAIN = "rtc.example.com"
PUBLIC, NEXT_PUBLIC, STRANGER = "93.184.216.5", "93.184.216.6", "93.184.217.9"
HUB_HOME, NEIGHBOUR_HOME, CLIENT_HOME = "10.0.0.5", "10.0.1.6", "192.168.9.2"
SPEC = f"reach: public\ndomain: {DOMAIN}\ntls: {{mode: internal}}\n"

# Where the router's side of each network is: the first address of it.
_GATEWAYS = {
    PUBLIC: "93.184.216.1",
    STRANGER: "93.184.217.1",
    HUB_HOME: "10.0.0.1",
    NEIGHBOUR_HOME: "10.0.1.1",
    CLIENT_HOME: "192.168.9.1",
}

# Interfaces of the router.
TO_HUB, TO_NEIGHBOUR, TO_CLIENT = "hub0", "neighbour0", "client0"

MASQUERADE = f"oifname {TO_HUB} masquerade"

# Every connection gets another port, so that the port can't be predicted.
SYMMETRIC = f"{MASQUERADE} random,fully-random"


@dataclass(frozen=True)
class World:
    """`hub` and `client` have no way but `router`. Both know the hub's name as its public address."""

    hub: Namespace
    router: Namespace
    client: Namespace


@contextmanager
def make_world(hub_at: str, client_at: str, wide: str, before: str = "", after: str = "") -> Iterator[World]:
    """Machines at these addresses. `before` and `after` are rules of the router, in nftables' pre- and postrouting;
    `wide` is its interface to the internet, from which nothing comes in but what they lead elsewhere."""
    with (
        namespace("hub", NAME_SERVER) as hub,
        namespace("router") as router,
        namespace("client", NAME_SERVER) as client,
    ):
        _connect(router, hub, TO_HUB, hub_at)
        _connect(router, client, TO_CLIENT, client_at)
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        chains = {"prerouting": ("dstnat", before), "postrouting": ("srcnat", after)}
        rules = "".join(
            f"chain {hook} {{\n type nat hook {hook} priority {priority}\n {text}\n}}\n"
            for hook, (priority, text) in chains.items()
        )
        closed = f"type filter hook forward priority filter\n iifname {wide} ct status dnat accept\n"
        rules += f"chain forward {{\n {closed} iifname {wide} ct state new drop\n}}\n"
        router.run("nft", "-f", "-", text=f"table inet nat {{\n{rules}}}\n")
        yield World(hub, router, client)


def _connect(router: Namespace, machine: Namespace, side: str, address: str) -> None:
    connect(router, machine, side, "eth0")
    router.add_address(side, f"{_GATEWAYS[address]}/24")
    machine.add_address("eth0", f"{address}/24")
    machine.add_default_route(_GATEWAYS[address])
    machine.name_hosts({DOMAIN: PUBLIC})


@contextmanager
def hub_behind_nat(*, hairpin: bool) -> Iterator[World]:
    """The hub in a home network: the router has the public address, and the next one that its provider will give it,
    and forwards packets for them to the hub's own address.

    `hairpin`: what comes from inside, too. Else the router answers that nothing is there.
    """
    before = f"iifname {TO_CLIENT} ip daddr {{ {PUBLIC}, {NEXT_PUBLIC} }} dnat ip to {HUB_HOME}"
    after = f"iifname {TO_HUB} oifname {TO_CLIENT} snat ip to {PUBLIC}"
    if hairpin:
        before += f"\n iifname {{ {TO_HUB}, {TO_NEIGHBOUR} }} ip daddr {PUBLIC} dnat ip to {HUB_HOME}"
        after += f"\n iifname {{ {TO_HUB}, {TO_NEIGHBOUR} }} oifname {TO_HUB} masquerade"
    with make_world(HUB_HOME, STRANGER, TO_CLIENT, before, after) as world:
        for address in (PUBLIC, NEXT_PUBLIC):
            world.router.add_address(TO_CLIENT, f"{address}/32")
        yield world


@contextmanager
def neighbour_of(world: World) -> Iterator[Namespace]:
    """Another machine at the hub's home."""
    with namespace("neighbour", NAME_SERVER) as made:
        _connect(world.router, made, TO_NEIGHBOUR, NEIGHBOUR_HOME)
        yield made
