"""What the plan must know of this machine. Gathered by `lkhub.host.node`, judged here and in `address`."""

from dataclasses import dataclass
from typing import Literal

from lkhub.spec.types import Address

# How clients relate to an interface, most useful first.
InterfaceKind = Literal["lan", "loopback", "vpn", "bridge", "container"]


@dataclass(frozen=True)
class Interface:
    """A network interface that is up, with the addresses that it carries."""

    name: str
    kind: InterfaceKind
    addresses: tuple[Address, ...]


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

    def interface_of(self, address: Address) -> Interface | None:
        """The interface that carries `address`."""
        return next((interface for interface in self.interfaces if address in interface.addresses), None)

    def loopback(self) -> str:
        """Name of the loopback interface: `lo` on Linux, `lo0` on macOS."""
        return next((interface.name for interface in self.interfaces if interface.kind == "loopback"), "lo")
