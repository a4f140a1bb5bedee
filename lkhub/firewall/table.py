"""What a firewall in front of a hub has to let through and from which networks, and what stays closed and why."""

import hashlib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from lkhub.plan.model import Listener, Plan, Protocol
from lkhub.plan.network import Interface
from lkhub.source.path import Path, dotted
from lkhub.spec.address import Address, Network
from lkhub.spec.ports import PortRange
from lkhub.spec.types import Reach

# Networks that no router of the internet leads to (RFC 1918, RFC 4193).
_PRIVATE: tuple[Network, ...] = (
    *(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")),
    IPv6Network("fc00::/7"),
)

# The network of a typical home or office, where nothing else is known.
_USUAL_PREFIX = {4: 24, 6: 64}


@dataclass(frozen=True)
class FirewallRow:
    """Ports to open. `sources` are the networks to open them to, as `192.168.1.0/24`, empty for everyone; `versions`
    are the IP versions that something listens on. `key` is the spec's key for it, dotted."""

    protocol: Protocol
    ports: PortRange
    purpose: str
    process: str
    key: str
    sources: tuple[str, ...]
    versions: frozenset[int]

    @property
    def networks(self) -> tuple[Network, ...]:
        """The sources."""
        return tuple(map(ip_network, self.sources))

    @property
    def source(self) -> str:
        """The sources, in words."""
        return ", ".join(map(show_network, self.networks)) or "anyone"

    def __str__(self) -> str:
        return f"{self.ports}/{self.protocol}"


def show_network(network: Network) -> str:
    """As firewalls write it: a single address without its length."""
    return str(network.network_address if network.prefixlen == network.max_prefixlen else network)


@dataclass(frozen=True)
class ClosedRow:
    """Ports that a process binds and that no other machine needs; `why` says why."""

    protocol: Protocol
    ports: PortRange
    purpose: str
    why: str

    def __str__(self) -> str:
        return f"{self.ports}/{self.protocol}"


@dataclass(frozen=True)
class FirewallTable:
    """All ports of a hub. Packets of clients arrive on `interfaces` (empty: on any). `tag` marks this hub's rules in a
    firewall that also has other rules."""

    hub: str
    reach: Reach
    rows: tuple[FirewallRow, ...]
    closed: tuple[ClosedRow, ...]
    interfaces: tuple[str, ...]
    tag: str


@dataclass(frozen=True)
class Command:
    """A command line, and the text that it reads."""

    argv: tuple[str, ...]
    text: str = ""

    def __str__(self) -> str:
        """As it is typed into a shell."""
        return shlex.join(self.argv) + (f" <<'END'\n{self.text}END" if self.text else "")


@dataclass(frozen=True)
class Step:
    """One change of a firewall. `undo` reverts it if a later step fails; None for a step that is the only one."""

    do: Command
    undo: Command | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether a firewall lets a row through; None where that can't be told, and `why` says which rule decides."""

    row: FirewallRow
    open: bool | None
    why: str


def firewall_table(plan: Plan, interfaces: Iterable[Interface] = ()) -> FirewallTable:
    """The table of a plan. `interfaces` are this machine's: they determine the networks of `reach: lan`."""
    clients = _list_networks(plan.media.local, tuple(interfaces)) if plan.reach == "lan" else ()
    proxies = _list_proxies(plan) if _is_proxied(plan) else clients
    rows: dict[tuple[Protocol, PortRange, Path], FirewallRow] = {}
    for listener in plan.listeners if plan.reach != "local" else ():
        if listener.client_facing:
            at = (listener.protocol, listener.ports, listener.key)
            known = rows[at].versions if at in rows else frozenset()
            rows[at] = FirewallRow(
                protocol=listener.protocol,
                ports=listener.ports,
                purpose=listener.purpose,
                process=listener.process,
                key=dotted(listener.key),
                sources=tuple(map(str, proxies if listener.key == ("tls", "listen") else clients)),
                versions=known | _list_versions(listener, plan),
            )
    return FirewallTable(
        hub=plan.name,
        reach=plan.reach,
        rows=tuple(rows.values()),
        closed=tuple(_list_closed(plan, tuple(rows.values()))),
        interfaces=plan.media.interfaces,
        tag=make_tag(plan.paths.root),
    )


def make_tag(root: str) -> str:
    """The mark of the hub whose state directory this is: two hubs of one machine may have one name."""
    return f"lkhub:{hashlib.sha256(root.encode()).hexdigest()[:8]}"


def _list_networks(addresses: Iterable[Address], interfaces: tuple[Interface, ...]) -> tuple[Network, ...]:
    """The networks that these addresses of this machine are in."""
    found = []
    for address in addresses:
        carriers = [interface for interface in interfaces if address in interface.addresses]
        known = carriers[0].network_of(address) if carriers else None
        if known and known.num_addresses == 1:  # a VPN, which gives a node its own address and nothing around it
            known = None
        usual = ip_network((address, _USUAL_PREFIX[address.version]), strict=False)
        found.append(known or next((network for network in _PRIVATE if address in network), usual))
    return tuple(dict.fromkeys(found))


def _is_proxied(plan: Plan) -> bool:
    return plan.edge is not None and plan.edge.tls.mode == "external"


def _list_proxies(plan: Plan) -> tuple[Network, ...]:
    assert plan.edge
    return tuple(network for network in plan.edge.trusted_proxies if not network.is_loopback)


def _list_versions(listener: Listener, plan: Plan) -> frozenset[int]:
    """IP versions on which clients reach a listener. A listener on every address is reached at the advertised
    addresses."""
    addresses = plan.media.local if listener.address is None else (listener.address,)
    return frozenset(address.version for address in addresses)


def _list_closed(plan: Plan, rows: tuple[FirewallRow, ...]) -> Iterable[ClosedRow]:
    open_ports = {(row.protocol, row.ports) for row in rows}
    seen = set()
    for listener in plan.listeners:
        at = (listener.protocol, listener.ports)
        if at not in open_ports and at not in seen:
            seen.add(at)
            yield ClosedRow(listener.protocol, listener.ports, listener.purpose, _explain_closed(listener, plan))


# Clients reach these through the edge.
BEHIND_EDGE = ("media", "serve")


def _explain_closed(listener: Listener, plan: Plan) -> str:
    if listener.key == ("turn", "relay"):
        # The relay sends from these ports to media on the same machine. Clients connect only to the relay's own port.
        return "towards media on this machine only; clients reach the relay through its own port"
    if plan.reach == "local":
        return "reach: local is this machine only"
    if plan.edge is not None and listener.process in BEHIND_EDGE:
        return f"on this machine only, behind the hub's one port {plan.edge.port}"
    return "on this machine only"
