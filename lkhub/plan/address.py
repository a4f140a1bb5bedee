"""Which address of this machine clients are told, and why."""

from collections.abc import Container
from dataclasses import dataclass

from lkhub.plan.network import Interface, InterfaceKind, NetworkFacts
from lkhub.spec.address import Address, Network

_WHY_NOT: dict[InterfaceKind, str] = {
    "loopback": "this machine only",
    "vpn": "a VPN, which other devices here are not in",
    "cardless": "a bridge without a network card",
    "bridge": "a bridge for containers or virtual machines",
    "container": "a container's interface",
}


# Where an interface of these kinds carries the default route, it leads to the rest of the network and not to guests of
# this machine.
_GUESTS: tuple[InterfaceKind, ...] = ("cardless", "bridge", "container")


@dataclass(frozen=True)
class Candidate:
    """An address of this machine; `why_not` is why clients on the LAN can't use it, "" where they can."""

    address: Address
    interface: str
    why_not: str

    @property
    def is_public_on_vpn(self) -> bool:
        """Whether it is a public address on a tunnel: PPPoE, or another server that forwards its own address to this
        machine."""
        return self.why_not == _WHY_NOT["vpn"] and self.address.is_global

    @property
    def is_last_resort(self) -> bool:
        """Whether it is used only where there is no other: it is not known what a bridge without a network card leads
        to."""
        return self.why_not == _WHY_NOT["cardless"]


@dataclass(frozen=True)
class AddressChoice:
    """The address on the LAN and the reason; `further` are the addresses on this machine's other LANs, `others` the
    candidates that were not taken."""

    address: Address
    interface: str
    why: str
    further: tuple[Candidate, ...]
    others: tuple[Candidate, ...]


def list_candidates(facts: NetworkFacts) -> tuple[Candidate, ...]:
    """Every address that could be advertised, the best first: usable, on the default route, IPv4."""
    routes = {name: rank for rank, name in enumerate(facts.default_routes)}
    found = [
        (
            bool(why),
            routes.get(interface.name, len(routes)),
            address.version,
            index,
            Candidate(address, interface.name, why),
        )
        for index, interface in enumerate(facts.interfaces)
        for address in interface.addresses
        for why in [_why_not(interface, address, routes)]
    ]
    return tuple(row[-1] for row in sorted(found, key=lambda row: row[:-1]))


def _why_not(interface: Interface, address: Address, routes: Container[str]) -> str:
    if address.is_link_local:
        return "link-local"
    if interface.kind in _GUESTS and interface.name in routes:
        return ""
    return _WHY_NOT.get(interface.kind, "")


def choose_lan_address(facts: NetworkFacts, allowed: tuple[str, ...] = ()) -> AddressChoice | None:
    """The LAN address to advertise, None where no interface carries one.

    `allowed` are the interfaces that the spec names; they are taken whatever kind they seem to be.
    """
    candidates = list_candidates(facts)
    usable = [
        c for c in candidates if (c.interface in allowed and not c.address.is_link_local if allowed else not c.why_not)
    ]
    if not usable and not allowed:
        usable = [candidate for candidate in candidates if candidate.is_last_resort]
    if not usable:
        return None
    best = usable[0]
    further = _on_other_networks(facts, best, usable)
    taken = {best, *further}
    others = tuple(c for c in candidates if c not in taken and c.why_not not in ("link-local", _WHY_NOT["loopback"]))
    return AddressChoice(best.address, best.interface, _explain(best, usable, facts, allowed), further, others)


def _on_other_networks(facts: NetworkFacts, best: Candidate, usable: list[Candidate]) -> tuple[Candidate, ...]:
    """One address of the same family on each further LAN. Cable and Wi-Fi on the same LAN count once."""
    taken = {best.interface: _network_of(facts, best)}
    further = []
    for candidate in usable:
        network = _network_of(facts, candidate)
        known = candidate.interface in taken or network is None or network in taken.values()
        if not known and None not in taken.values() and candidate.address.version == best.address.version:
            taken[candidate.interface] = network
            further.append(candidate)
    return tuple(further)


def _network_of(facts: NetworkFacts, candidate: Candidate) -> Network | None:
    interface = facts.interface_of(candidate.address)
    return interface.network_of(candidate.address) if interface else None


def choose_public_addresses(facts: NetworkFacts, named: Container[Address] = ()) -> tuple[Candidate, ...]:
    """Public addresses that this machine itself carries: the best of each family.

    `named` are the addresses that the hub's name leads to; they come first. A tunnel's address is taken if it is one of
    these, or if this machine has no other address that clients could be led to.
    """
    candidates = list_candidates(facts)
    has_other = any(not candidate.why_not for candidate in candidates)
    found = [
        candidate
        for candidate in candidates
        if (not candidate.why_not and candidate.address.is_global)
        or (candidate.is_public_on_vpn and (candidate.address in named or not has_other))
    ]
    found.sort(key=lambda candidate: candidate.address not in named)
    firsts = {candidate.address.version: candidate for candidate in reversed(found)}
    return tuple(firsts[version] for version in sorted(firsts))


def list_public_on_vpn(facts: NetworkFacts) -> tuple[Candidate, ...]:
    """Public addresses that tunnels bring to this machine."""
    return tuple(candidate for candidate in list_candidates(facts) if candidate.is_public_on_vpn)


def behind_nat(facts: NetworkFacts, external: Address) -> Address | None:
    """The address of this machine at which packets to `external` arrive: `external` itself, or the address on the
    default route."""
    if facts.interface_of(external) is not None:
        return external
    candidates = [c for c in list_candidates(facts) if c.address.version == external.version]
    for usable in (
        [c for c in candidates if not c.why_not],
        [c for c in candidates if c.is_public_on_vpn or c.is_last_resort],
    ):
        if usable:
            return usable[0].address
    return None


def _explain(best: Candidate, usable: list[Candidate], facts: NetworkFacts, allowed: tuple[str, ...]) -> str:
    if allowed:
        return f"on {best.interface}, which media.interfaces names"
    if best.why_not:
        return f"on {best.interface}, {best.why_not}: there is no other address that a LAN could reach"
    if best.interface in facts.default_routes:
        return f"on {best.interface}, which carries the default route"
    if len(usable) == 1:
        return f"on {best.interface}, the only LAN address"
    why = "none of them carries a default route" if facts.default_routes else "there is no default route"
    return f"on {best.interface}, the first of {len(usable)} LAN addresses ({why})"
