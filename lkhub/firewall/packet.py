"""The packets of clients that a firewall row is about, and whether the rule of a firewall matches them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_network

from lkhub.firewall.table import FirewallRow, FirewallTable
from lkhub.plan.model import Protocol
from lkhub.spec.address import Network
from lkhub.spec.ports import PortRange


class Fit(IntEnum):
    """Which of the packets a condition matches. If several conditions must hold, the least fit counts.

    FEW are the packets that rules against abuse match (lists of addresses, more than so many a second); such rules are
    ignored here. UNKNOWN may be all packets; PART is a known part of them, such as some of the ports.
    """

    NONE = 0
    FEW = 1
    UNKNOWN = 2
    PART = 3
    ALL = 4

    def negate(self) -> "Fit":
        """The packets that the condition does not match."""
        return {Fit.NONE: Fit.ALL, Fit.ALL: Fit.NONE, Fit.FEW: Fit.UNKNOWN}.get(self, self)


@dataclass(frozen=True)
class Packets:
    """The first packet of each client, of one IP version. `sources` and `interfaces` empty: any."""

    protocol: Protocol
    ports: PortRange
    version: int
    sources: tuple[Network, ...]
    interfaces: tuple[str, ...]

    def fit_ports(self, ports: PortRange) -> Fit:
        if not ports.overlaps(self.ports):
            return Fit.NONE
        return Fit.ALL if ports.start <= self.ports.start and self.ports.end <= ports.end else Fit.PART

    def fit_source(self, network: Network) -> Fit:
        if network.version != self.version:
            return Fit.NONE
        if network.prefixlen == 0:
            return Fit.ALL
        if not self.sources:
            return Fit.FEW
        if all(is_within(source, network) for source in self.sources):
            return Fit.ALL
        return Fit.FEW if any(network.overlaps(source) for source in self.sources) else Fit.NONE

    def fit_interface(self, pattern: str) -> Fit:
        """`pattern` may end in `*`."""
        if pattern == "lo":
            return Fit.NONE
        if not self.interfaces:
            return Fit.UNKNOWN
        hits = sum(fnmatchcase(interface, pattern) for interface in self.interfaces)
        return Fit.NONE if hits == 0 else Fit.ALL if hits == len(self.interfaces) else Fit.PART


def list_packets(row: FirewallRow, table: FirewallTable) -> Iterable[Packets]:
    """The packets of a row, for each IP version of it."""
    for version in sorted(row.versions):
        sources = tuple(source for source in row.networks if source.version == version)
        if sources or not row.networks:
            yield Packets(row.protocol, row.ports, version, sources, table.interfaces)


def is_within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


def parse_network(text: str) -> Network | None:
    """An address or a network, None for anything else."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
