"""What the plan must know of this machine. Gathered by `lkhub.host.node`, judged here and in `address`."""

from dataclasses import dataclass
from typing import Literal

from lkhub.spec.types import Address, Network

# How clients relate to an interface, most useful first. `bridge` is one that a container or virtual machine manager
# made, `cardless` any other without a network card: it may lead to a LAN in ways that are not seen here.
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
        """The network that `address` of this interface is directly in."""
        return next((network for network in self.networks if address in network), None)


@dataclass(frozen=True)
class LookedUp:
    """What others were asked because the spec says so. None: not asked, or no answer, and then `problem` says why.

    `domain` is what the name servers say of it, `stun` what the named STUN server saw, `tailnet` this node's name
    in its tailnet.
    """

    domain: tuple[Address, ...] | None = None
    stun: Address | None = None
    tailnet: str | None = None
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True)
class NodeFacts:
    """This machine, as far as a plan depends on it.

    `default_routes` are the interfaces that carry a default route, best first. `engine` is the path of
    the bundled engine, `python` that of the interpreter that runs lkhub, `state` the state directory,
    `folder` the spec's own, which relative paths in it start from.
    """

    interfaces: tuple[Interface, ...]
    default_routes: tuple[str, ...]
    engine: str
    python: str
    state: str
    folder: str
    looked_up: LookedUp = LookedUp()

    def interface_of(self, address: Address) -> Interface | None:
        """The interface that carries `address`."""
        return next((interface for interface in self.interfaces if address in interface.addresses), None)

    def loopback(self) -> str:
        """Name of the loopback interface: `lo` on Linux, `lo0` on macOS."""
        return next((interface.name for interface in self.interfaces if interface.kind == "loopback"), "lo")


@dataclass(frozen=True)
class KernelLimits:
    """What holds for the hub's processes; None where it is not known. Buffers in bytes, `open_files` descriptors of one
    process, `connections` entries of the connection tracking table, now and at most."""

    receive_buffer: int | None = None
    send_buffer: int | None = None
    open_files: int | None = None
    connections: int | None = None
    connections_max: int | None = None


@dataclass(frozen=True)
class RunsIn:
    """What started the hub, as far as it decides where limits are set: the systemd `unit` that it is part of, whether
    that is a user's own (`user_unit`), whether it runs in a `container`, whether its user `is_root`. With neither unit
    nor container it was started from a shell, or by something that is not known."""

    unit: str = ""
    user_unit: bool = False
    container: bool = False
    is_root: bool = True
