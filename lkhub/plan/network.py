"""The network that a hub is in, as far as a plan depends on it. Gathered by `lkhub.host.network`, judged here and in
`address`."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from lkhub.findings.finding import Finding
from lkhub.spec.address import Address, Network

LOOPBACK: Address = IPv4Address("127.0.0.1")

# What clients are on an interface, the most useful kind first. `bridge` was created by a container or virtual machine
# manager. `cardless` is any other interface without a network card: it may lead to a LAN, but that is not seen here.
InterfaceKind = Literal["lan", "loopback", "vpn", "cardless", "bridge", "container"]


@dataclass(frozen=True)
class Interface:
    """A network interface that is up, with the addresses that it carries, and for each of them the network that it is
    directly in (none where that is not known)."""

    name: str
    kind: InterfaceKind
    addresses: tuple[Address, ...]
    networks: tuple[Network, ...] = ()

    def network_of(self, address: Address) -> Network | None:
        """The network that this interface's `address` is directly in."""
        return next((network for network in self.networks if address in network), None)


@dataclass(frozen=True)
class LookedUp:
    """What other servers answered, which were asked because the spec says so. None: not asked, or no answer.

    `domain` are the addresses that name servers have for the spec's domain. `stun` is the address that the STUN server
    saw, and `stun_failure` why there is none. `tailnet` is this node's name in its tailnet, and `no_tailnet` says why
    there is none.
    """

    domain: tuple[Address, ...] | None = None
    stun: Address | None = None
    tailnet: str | None = None
    stun_failure: str = ""
    no_tailnet: Finding | None = None


@dataclass(frozen=True)
class NetworkFacts:
    """The network of the machine that the hub runs on. `default_routes` are the interfaces that carry a default route,
    best first."""

    interfaces: tuple[Interface, ...]
    default_routes: tuple[str, ...]
    looked_up: LookedUp = LookedUp()

    def interface_of(self, address: Address) -> Interface | None:
        """The interface that carries `address`."""
        return next((interface for interface in self.interfaces if address in interface.addresses), None)

    def loopback(self) -> str:
        """Name of the loopback interface: `lo` on Linux, `lo0` on macOS."""
        return next((interface.name for interface in self.interfaces if interface.kind == "loopback"), "lo")
