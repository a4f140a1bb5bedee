"""Which address of this machine clients are told, and why."""

from dataclasses import dataclass

from lkhub.plan.facts import Interface, InterfaceKind, NodeFacts
from lkhub.spec.types import Address, Network

_WHY_NOT: dict[InterfaceKind, str] = {
    "loopback": "this machine only",
    "vpn": "a VPN, which other devices here are not in",
    "bridge": "a bridge for containers or virtual machines",
    "container": "a container's interface",
}


@dataclass(frozen=True)
class Candidate:
    """An address of this machine; `why_not` is why clients on the LAN can't use it, "" where they can."""

    address: Address
    interface: str
    why_not: str


@dataclass(frozen=True)
class AddressChoice:
    """The address on the LAN and the reason; `further` are those of this machine's other LANs, `others` the ones that
    were not taken."""

    address: Address
    interface: str
    why: str
    further: tuple[Candidate, ...]
    others: tuple[Candidate, ...]


def list_candidates(facts: NodeFacts) -> tuple[Candidate, ...]:
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
        for why in [_why_not(interface, address)]
    ]
    return tuple(row[-1] for row in sorted(found, key=lambda row: row[:-1]))


def _why_not(interface: Interface, address: Address) -> str:
    if address.is_link_local:
        return "link-local"
    return _WHY_NOT.get(interface.kind, "")


def choose_lan_address(facts: NodeFacts, allowed: tuple[str, ...] = ()) -> AddressChoice | None:
    """The LAN address to advertise, None where no interface carries one.

    `allowed` are interface names that the spec insists on; they overrule what kind they look like.
    """
    candidates = list_candidates(facts)
    usable = [
        c for c in candidates if (c.interface in allowed and not c.address.is_link_local if allowed else not c.why_not)
    ]
    if not usable:
        return None
    best = usable[0]
    further = _on_other_networks(facts, best, usable)
    taken = {best, *further}
    others = tuple(c for c in candidates if c not in taken and c.why_not not in ("link-local", _WHY_NOT["loopback"]))
    return AddressChoice(best.address, best.interface, _explain(best, usable, facts, allowed), further, others)


def _on_other_networks(facts: NodeFacts, best: Candidate, usable: list[Candidate]) -> tuple[Candidate, ...]:
    """One address of the same family on each further LAN. Cable and Wi-Fi on one LAN are one."""
    taken = {best.interface: _network_of(facts, best)}
    further = []
    for candidate in usable:
        network = _network_of(facts, candidate)
        known = candidate.interface in taken or network is None or network in taken.values()
        if not known and None not in taken.values() and candidate.address.version == best.address.version:
            taken[candidate.interface] = network
            further.append(candidate)
    return tuple(further)


def _network_of(facts: NodeFacts, candidate: Candidate) -> Network | None:
    interface = facts.interface_of(candidate.address)
    return interface.network_of(candidate.address) if interface else None


def choose_public_addresses(facts: NodeFacts) -> tuple[Candidate, ...]:
    """Public addresses that this machine itself carries: the best of each family."""
    found = [candidate for candidate in list_candidates(facts) if not candidate.why_not and candidate.address.is_global]
    firsts = {candidate.address.version: candidate for candidate in reversed(found)}
    return tuple(firsts[version] for version in sorted(firsts))


def behind_nat(facts: NodeFacts, external: Address) -> Address | None:
    """The address of this machine that packets to `external` arrive at: its own, or the one on the default route."""
    if facts.interface_of(external) is not None:
        return external
    usable = [c for c in list_candidates(facts) if not c.why_not and c.address.version == external.version]
    return usable[0].address if usable else None


def _explain(best: Candidate, usable: list[Candidate], facts: NodeFacts, allowed: tuple[str, ...]) -> str:
    if allowed:
        return f"on {best.interface}, which media.interfaces names"
    if best.interface in facts.default_routes:
        return f"on {best.interface}, which carries the default route"
    if len(usable) == 1:
        return f"on {best.interface}, the only LAN address"
    why = "none of them carries a default route" if facts.default_routes else "there is no default route"
    return f"on {best.interface}, the first of {len(usable)} LAN addresses ({why})"
