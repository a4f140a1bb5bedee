"""Which addresses clients are told, and what they lead to on this machine."""

from collections.abc import Sequence
from ipaddress import IPv4Network

from lkhub.findings.catalogue.choices import (
    address_besides,
    address_chosen,
    address_not_learnt,
    address_passed_over,
    ipv4_left_out,
)
from lkhub.findings.catalogue.spec import (
    address_missing,
    address_not_here,
    key_unused,
    keys_conflict,
    name_unled,
    value_wrong,
)
from lkhub.findings.declare import Statement
from lkhub.findings.finding import Edit, Finding
from lkhub.plan.address import (
    AddressChoice,
    Candidate,
    behind_nat,
    choose_lan_address,
    choose_public_addresses,
    list_candidates,
    list_public_on_vpn,
)
from lkhub.plan.model import Advertised, MediaPlan, MediaPorts
from lkhub.plan.network import LOOPBACK, NetworkFacts
from lkhub.shown import printable
from lkhub.spec.address import Address, AskStun
from lkhub.spec.load import LoadedSpec
from lkhub.spec.model import Spec

IPV4_SHARED = IPv4Network("100.64.0.0/10")
DEFAULT_ICE_TCP = 7881

# The interface that tailscaled creates, and removes when it ends.
_TAILSCALE = "tailscale"
_TAILSCALE_MAKES_IT = (
    "Tailscale has this interface while it runs (`tailscale status`), but not with userspace networking"
)


def plan_media(loaded: LoadedSpec, facts: NetworkFacts, notes: list[Finding], *, has_edge: bool) -> MediaPlan | None:
    """The plan of media. Faults are added to `loaded`; None where there is no address to build on."""
    spec = loaded.spec
    _check_interfaces(loaded, facts)
    addresses = _choose_addresses(loaded, facts, notes)
    if not addresses:
        return None
    if spec.engine != "bundled" and len(addresses) != len({address.external.version for address in addresses}):
        told = ", ".join(str(address.external) for address in addresses)
        loaded.add(
            ("media", "advertise"),
            keys_conflict(f"livekit-server advertises one address of each IP version, and here are {told}"),
            "name one IPv4 and one IPv6, or use engine: bundled",
        )
    interfaces = spec.media.interfaces or _interfaces_of(facts, addresses)
    first, *others = _list_ports(loaded)
    local = tuple(dict.fromkeys(address.local for address in addresses))
    return MediaPlan(
        addresses=addresses,
        # The hub's own programs reach media and the service on loopback, whatever clients are told. Behind an edge no
        # other program does.
        bind=(LOOPBACK,) if has_edge else local if LOOPBACK in local else (*local, LOOPBACK),
        interfaces=interfaces,
        loopback=all(address.is_loopback for address in local),
        udp=first.udp,
        tcp=first.tcp,
        signal=spec.media.signal,
        second=next(iter(others), None),
    )


def _list_ports(loaded: LoadedSpec) -> tuple[MediaPorts, ...]:
    """The ports of one media process, or of two. Where the two can't be told apart, that is a fault, and there is
    one."""
    media, reach = loaded.spec.media, loaded.spec.reach
    tcp: tuple[int | None, ...]
    if media.tcp is None:
        # LiveKit binds ICE/TCP on every interface: a hub for this machine only must not have it.
        tcp = (None if reach == "local" else DEFAULT_ICE_TCP,)
    else:
        tcp = (None,) if media.tcp == "off" else media.tcp
    two = {"udp": len(media.udp) == 2, "tcp": len(tcp) == 2}
    if two["udp"] and tcp == (None,):
        tcp, two["tcp"] = (None, None), True
    if two["udp"] != two["tcp"]:
        has, lacks = ("udp", "tcp") if two["udp"] else ("tcp", "udp")
        one = keys_conflict(f"two ports for two media processes, and media.{lacks} has one")
        other = "media.tcp: [7881, 7891], or off" if lacks == "tcp" else "media.udp: [7882, 7892]"
        loaded.add(("media", has), one, f"write {other}; or one port in both")
        return (MediaPorts(media.udp[0], tcp[0]),)
    for key, is_one in (("udp", two["udp"] and media.udp[0].overlaps(media.udp[1])), ("tcp", _is_twice(tcp))):
        if is_one:
            same = value_wrong("two media processes can't have the same port")
            loaded.add(("media", key), same, "write two that differ, or one")
    return tuple(map(MediaPorts, media.udp, tcp))


def _is_twice(tcp: tuple[int | None, ...]) -> bool:
    return len(tcp) == 2 and tcp[0] is not None and tcp[0] == tcp[1]


def _interfaces_of(facts: NetworkFacts, addresses: tuple[Advertised, ...]) -> tuple[str, ...]:
    if any(address.local.is_loopback for address in addresses):
        return (facts.loopback(),)
    found = [facts.interface_of(address.local) for address in addresses]
    return tuple(dict.fromkeys(interface.name for interface in found if interface))


def _check_interfaces(loaded: LoadedSpec, facts: NetworkFacts) -> None:
    known = [interface.name for interface in facts.interfaces]
    for index, name in enumerate(loaded.spec.media.interfaces):
        if name not in known:
            loaded.add(
                ("media", "interfaces", index),
                address_not_here(f"this machine has no interface {printable(name)}"),
                f"it has {', '.join(known)}" + (f"; {_TAILSCALE_MAKES_IT}" if name.startswith(_TAILSCALE) else ""),
            )


def _choose_addresses(loaded: LoadedSpec, facts: NetworkFacts, notes: list[Finding]) -> tuple[Advertised, ...]:
    spec = loaded.spec
    if isinstance(spec.media.advertise, tuple) and not isinstance(spec.media.advertise, AskStun):
        return tuple(_check_advertised(loaded, facts, address, notes) for address in spec.media.advertise)
    if spec.reach == "local":
        if isinstance(spec.media.advertise, AskStun):
            unused = key_unused("a hub for this machine only needs no STUN server")
            loaded.add(("media", "advertise"), unused, "write auto", Edit("media.advertise", "auto"))
        return (Advertised(LOOPBACK, LOOPBACK),)
    if isinstance(spec.media.advertise, AskStun):
        return _ask_stun(spec.media.advertise, loaded, facts, notes)
    if spec.reach == "public":
        return _choose_public(loaded, facts, notes)
    return _choose_lan(loaded, facts, notes)


def _choose_lan(loaded: LoadedSpec, facts: NetworkFacts, notes: list[Finding]) -> tuple[Advertised, ...]:
    interfaces = loaded.spec.media.interfaces
    known = tuple(name for name in interfaces if any(name == interface.name for interface in facts.interfaces))
    choice = choose_lan_address(facts, known)
    if choice is None:
        if known:
            loaded.add(("media", "interfaces"), *_explain_bare(known))
        elif not interfaces:
            loaded.add(("reach",), *_explain_no_address(facts, "LAN"))
        return ()
    addresses = [choice.address, *(candidate.address for candidate in choice.further)]
    if loaded.spec.tls.mode == "tailscale":
        tailnet = [candidate for candidate in list_candidates(facts) if _is_tailnet(candidate)][:1]
        # Otherwise another fault says why: tailscaled gives no name, or an interface is missing.
        if not tailnet and facts.looked_up.tailnet is not None and len(known) == len(interfaces):
            missing = address_missing("this machine has no address in a tailnet")
            loaded.add(("tls", "mode"), missing, "`tailscale up` connects it")
        own = [candidate for candidate in tailnet if candidate.address not in addresses]
        addresses += [candidate.address for candidate in own]
        notes += [_tell_also(c.address, "this machine's address in the tailnet") for c in own]
    notes[:0] = _explain_choice(choice, addresses)
    return tuple(Advertised(address, address) for address in addresses)


def _is_tailnet(candidate: Candidate) -> bool:
    # 100.64/10, which Tailscale gives to its nodes (RFC 6598 calls it shared address space).
    return candidate.address.version == 4 and candidate.address in IPV4_SHARED and bool(candidate.why_not)


def _explain_choice(choice: AddressChoice, told: Sequence[Address]) -> list[Finding]:
    notes = [_tell(choice.address, choice.why)]
    notes += [_tell_also(c.address, f"on {c.interface}, another network") for c in choice.further]
    for other in choice.others:
        if other.address in told:
            continue
        # The spec names this interface, so a reason against its kind does not count.
        why_not = other.why_not if other.interface != choice.interface else ""
        why_not = why_not or "set media.advertise to use it"
        address = str(other.address)
        notes.append(address_passed_over(address, other.interface, why_not).about(address))
    return notes


def _tell(address: Address, why: str) -> Finding:
    return address_chosen(str(address), why).about(str(address))


def _tell_also(address: Address, why: str) -> Finding:
    return address_besides(str(address), why).about(str(address))


def needs_domain(spec: Spec, facts: NetworkFacts) -> bool:
    """Whether what `domain` resolves to decides which address clients are told: IPv4 behind a NAT, or one of several
    public addresses."""
    asked = spec.reach == "public" and spec.media.advertise == "auto" and spec.domain is not None
    return asked and (_lacks_public_v4(facts) or bool(list_public_on_vpn(facts)))


def _lacks_public_v4(facts: NetworkFacts) -> bool:
    """Whether the machine has an IPv4 address but no public one. For IPv6 the question does not arise: it is not
    translated."""
    v4 = [c for c in list_candidates(facts) if c.address.version == 4 and not c.why_not]
    return bool(v4) and not any(c.address.is_global for c in v4)


def _choose_public(loaded: LoadedSpec, facts: NetworkFacts, notes: list[Finding]) -> tuple[Advertised, ...]:
    """The machine's own public addresses; behind a NAT, also the IPv4 address that the hub's name resolves to."""
    domain = loaded.spec.domain
    named = facts.looked_up.domain or ()
    own = choose_public_addresses(facts, named)
    found = _tell_own(own, notes)
    if domain is None:
        return found  # a fault of its own
    if not _lacks_public_v4(facts) or any(c.address.version == 4 for c in own):
        if not found:
            loaded.add(("reach",), *_explain_no_address(facts, "network"))
        return found
    resolved = [address for address in named if address.version == 4]
    public = [address for address in resolved if address.is_global]
    if public:
        return (*_translate(public, loaded, facts, notes, f"what {domain} resolves to"), *found)
    if tunnels := [c for c in list_public_on_vpn(facts) if c.address.version == 4 and not resolved]:
        return (*_tell_own(tunnels[:1], notes), *found)
    problem, hint = _explain_unled(domain, resolved, is_known=facts.looked_up.domain is not None)
    if found:
        notes.append(ipv4_left_out(problem, hint).about(domain))
    else:
        loaded.add(("domain",), name_unled(problem), hint)
    return found


def _explain_unled(domain: str, resolved: Sequence[Address], *, is_known: bool) -> tuple[str, str]:
    """The problem and a hint for a name that leads to no address that clients could be told. `is_known`: the resolver
    answered."""
    if resolved:
        return (
            f"{domain} resolves to {', '.join(map(str, resolved))}, which clients outside this network can't reach",
            "put the public address into the A record, or write reach: lan; with split DNS, which gives the public "
            "address to other networks, write that address as media.advertise",
        )
    if not is_known:
        return (
            f"this machine's name server did not say where {domain} leads, and this machine has no public IPv4 address "
            "of its own",
            "see which name servers it asks: `cat /etc/resolv.conf`; or write the public address as media.advertise",
        )
    return (
        f"{domain} has no IPv4 address in the DNS, and this machine has no public one",
        "make an A record with the public address, or write the address as media.advertise",
    )


def _tell_own(own: Sequence[Candidate], notes: list[Finding]) -> tuple[Advertised, ...]:
    notes += [
        _tell(c.address, f"the public address on {c.interface}" + (", a tunnel" if c.why_not else "")) for c in own
    ]
    return tuple(Advertised(c.address, c.address) for c in own)


def _ask_stun(asked: AskStun, loaded: LoadedSpec, facts: NetworkFacts, notes: list[Finding]) -> tuple[Advertised, ...]:
    seen = facts.looked_up.stun
    if seen is not None:
        return _translate([seen], loaded, facts, notes, f"what {asked.server} sees")
    # A hub without a network still starts, for clients that can reach it. The address is asked for again while it runs.
    why = facts.looked_up.stun_failure
    choice = choose_lan_address(facts, ())
    own = choice.address if choice else LOOPBACK
    notes.append(address_not_learnt(asked.server, why, str(own)).about(asked.server))
    return (Advertised(own, own),)


def _translate(
    told: Sequence[Address], loaded: LoadedSpec, facts: NetworkFacts, notes: list[Finding], why: str
) -> tuple[Advertised, ...]:
    """Each advertised address with the local address that it leads to."""
    found = []
    for external in told:
        local = behind_nat(facts, external)
        if local is None or (external.version == 6 and local != external):
            continue
        if bare := _explain_loopback(facts, local):
            loaded.add(("reach",), *bare)
            return ()
        behind = "" if local == external else f", assuming that the router in front leads it to {local}"
        notes.append(_tell(external, f"{why}{behind}"))
        found.append(Advertised(external, local))
    if not found:
        loaded.add(("reach",), *_explain_no_address(facts, "network"))
    return tuple(found)


def _check_advertised(loaded: LoadedSpec, facts: NetworkFacts, address: Address, notes: list[Finding]) -> Advertised:
    """Check an address that the spec names. It is a fault if this machine does not have it, unless it is public."""
    path = ("media", "advertise")
    reach = loaded.spec.reach
    if reach == "local" and not address.is_loopback:
        hint = "for other devices on this network, set reach: lan"
        loaded.add(
            path,
            keys_conflict(f"reach: local is for this machine only, and {address} is no loopback address"),
            hint,
            Edit("reach", "lan"),
        )
    elif reach != "local" and address.is_loopback:
        conflict = keys_conflict(f"{address} is a loopback address, and no other device can send to it")
        loaded.add(path, conflict, "write auto", Edit("media.advertise", "auto"))
    elif facts.interface_of(address) is None and not address.is_loopback:
        if reach == "public" and address.is_global and (local := behind_nat(facts, address)):
            notes.append(_tell(address, f"assuming that the router in front leads it to {local}"))
            return Advertised(address, local)
        own = ", ".join(str(candidate.address) for candidate in list_candidates(facts) if not candidate.why_not)
        elsewhere = address_not_here(f"{address} is not an address of this machine")
        loaded.add(path, elsewhere, f"it has {own or 'no LAN address'}")
    elif reach != "local" and (bare := _explain_loopback(facts, address)):
        loaded.add(path, *bare)
    return Advertised(address, address)


def _explain_loopback(facts: NetworkFacts, address: Address) -> tuple[Statement, str] | None:
    """The problem and a hint for an address that only the loopback interface carries although other machines should use
    it. Hosts that announce their addresses by a routing protocol have such addresses. LiveKit ignores that interface
    for other machines."""
    kinds = {interface.kind for interface in facts.interfaces if address in interface.addresses}
    if address.is_loopback or kinds != {"loopback"}:
        return None
    name = facts.loopback()
    length = address.max_prefixlen
    card = next(iter(facts.default_routes), "eth0")
    move = f"`ip address delete {address}/{length} dev {name}`, then `ip address add {address}/{length} dev {card}`"
    problem = f"{address} is on {name}, an interface that media can't use for clients on other machines"
    return address_missing(problem), f"move it to another interface: {move}"


def _explain_bare(names: Sequence[str]) -> tuple[Statement, str]:
    """The problem and a hint for interfaces that carry only link-local addresses, such as Tailscale's while it is not
    connected."""
    problem = f"{', '.join(names)} has no address that clients could be told"
    connect = "`sudo tailscale up` connects it" if any(name.startswith(_TAILSCALE) for name in names) else ""
    return address_missing(problem), connect or "give it an address, or name another interface"


def _explain_no_address(facts: NetworkFacts, what: str) -> tuple[Statement, str]:
    far = [c for c in list_candidates(facts) if not (c.address.is_loopback or c.address.is_link_local)]
    listed = [f"{c.address} on {c.interface} ({c.why_not or 'not usable'})" for c in far]
    found = "; ".join(listed) or "no address at all"
    hint = "connect it to a network; or name the interface in media.interfaces, or the address as media.advertise"
    return address_missing(f"no {what} address on this machine: {found}"), hint
