"""Every port that a hub binds, and the ones that collide."""

from collections.abc import Iterable
from itertools import combinations

from lkhub.plan.model import Listener, MediaPlan, ProcessName, Protocol, RelayPlan, ServePlan
from lkhub.spec.document import Path, dotted
from lkhub.spec.load import LoadedSpec
from lkhub.spec.types import Address, PortRange


def list_listeners(media: MediaPlan, relay: RelayPlan | None, serve: ServePlan) -> tuple[Listener, ...]:
    """What will listen where, in the order of a firewall table."""
    found = [Listener("media", "udp", address, media.udp, "media", ("media", "udp")) for address in media.advertise]
    if media.tcp is not None:
        # LiveKit binds ICE/TCP on every interface, whatever bind_addresses says (measured).
        found.append(_single("media", "tcp", None, media.tcp, "media over TCP", ("media", "tcp")))
    found += [
        _single("media", "tcp", address, media.signal, "signalling", ("media", "signal")) for address in media.bind
    ]
    for address in relay.listen if relay else ():
        assert relay
        found.append(_single("relay", "udp", address, relay.udp, "TURN and STUN", ("turn", "udp")))
        found.append(Listener("relay", "udp", address, relay.relay, "relaying to media", ("turn", "relay")))
    found += [_single("serve", "tcp", address, serve.port, "web application", ("web",)) for address in serve.bind]
    return tuple(found)


def _single(
    process: ProcessName, protocol: Protocol, address: Address | None, port: int, purpose: str, key: Path
) -> Listener:
    return Listener(process, protocol, address, PortRange(port, port), purpose, key)


def find_collisions(listeners: Iterable[Listener], loaded: LoadedSpec) -> None:
    """Add a fault for every two things on one port."""
    seen: set[frozenset[Path]] = set()
    for first, second in combinations(listeners, 2):
        pair = frozenset({first.key, second.key})
        if len(pair) == 1 or pair in seen or any(map(loaded.is_broken, pair)) or not _collide(first, second):
            continue
        seen.add(pair)
        # The fault stands at what the user wrote last: a default is not their mistake.
        other, blamed = sorted((first, second), key=lambda listener: loaded.document.lines.get(listener.key, 0))
        loaded.add(
            blamed.key,
            f"{blamed.protocol} port {blamed.ports} is taken by {dotted(other.key)} ({other.purpose}, {other.ports})",
            f"give {dotted(blamed.key)} another port",
        )


def _collide(first: Listener, second: Listener) -> bool:
    everywhere = None in (first.address, second.address)
    same_address = everywhere or first.address == second.address
    return same_address and first.protocol == second.protocol and first.ports.overlaps(second.ports)
