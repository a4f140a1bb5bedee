"""Every port that a hub binds, and collisions between them."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

from lkhub.findings.catalogue.spec import port_collision
from lkhub.plan.model import EdgePlan, Listener, MediaPlan, RelayPlan, ServePlan
from lkhub.source.path import Path, dotted
from lkhub.spec.address import Address
from lkhub.spec.load import LoadedSpec
from lkhub.spec.ports import PortRange


def list_listeners(
    media: MediaPlan, relay: RelayPlan | None, serve: ServePlan, edge: EdgePlan | None
) -> tuple[Listener, ...]:
    """What will listen where, in the order of a firewall table."""
    found = [
        Listener("media", "udp", local, udp, "media", ("media", "udp"), True)
        for udp, _ in media.ports
        for local in media.local
    ]
    # LiveKit binds ICE/TCP on every interface, whatever bind_addresses says (measured).
    found += [
        Listener("media", "tcp", None, _one(tcp), "media over TCP", ("media", "tcp"), not media.loopback)
        for _, tcp in media.ports
        if tcp is not None
    ]
    for address in _everywhere(edge.bind) if edge else ():
        assert edge
        what = "HTTPS, signalling, TURN over TLS" if edge.turn else "HTTPS and signalling"
        if edge.tls.mode == "external":
            what = "the proxy in front"
        found.append(Listener("edge", "tcp", address, _one(edge.port), what, ("tls", "listen"), True))
        if edge.http:
            what = "to HTTPS" if edge.tls.mode != "acme" else "to HTTPS, and proof of the name"
            found.append(Listener("edge", "tcp", address, _one(edge.http), what, ("tls", "http"), True))
    found += _list_sites(edge) if edge else []
    found += _list_turn(edge) if edge and edge.turn and edge.tls.mode == "external" else []
    found += [
        Listener("media", "tcp", address, _one(media.signal), "signalling", ("media", "signal"), edge is None)
        for address in media.bind
    ]
    for address in relay.bind if relay else ():
        assert relay
        assert relay.udp
        found.append(Listener("relay", "udp", address, _one(relay.udp), "TURN and STUN", ("turn", "udp"), True))
    for address in media.local if relay else ():
        assert relay
        process: str = "relay" if relay.udp else "edge"
        # Where relay and edge both relay, half of the ports are the edge's. No client connects to either half.
        found.append(Listener(process, "udp", address, relay.relay, "relaying to media", ("turn", "relay"), False))
    found += [
        Listener("serve", "tcp", address, _one(serve.port), "web application", ("web",), edge is None)
        for address in serve.bind
    ]
    return tuple(replace(row, client_facing=False) if row.address and row.address.is_loopback else row for row in found)


def _list_sites(edge: EdgePlan) -> list[Listener]:
    return [
        Listener("edge", "tcp", address, _one(site.port), f"site {site.name}", ("sites", site.index, "port"), True)
        for site in edge.sites
        if site.port is not None
        for address in _everywhere(edge.bind)
    ]


def _list_turn(edge: EdgePlan) -> list[Listener]:
    """The port of TURN over TLS beside a proxy (mode external)."""
    turn = edge.turn
    assert turn
    is_direct = turn.port == turn.listen
    what = "TURN over TLS" if is_direct else f"TURN over TLS, from port {turn.port}"
    client_facing = is_direct or not all(network.is_loopback for network in edge.trusted_proxies)
    key = ("turn", "listen")
    port = _one(turn.listen)
    return [Listener("edge", "tcp", address, port, what, key, client_facing) for address in _everywhere(turn.bind)]


def _one(port: int) -> PortRange:
    return PortRange(port, port)


def _everywhere(listen: tuple[Address, ...]) -> tuple[Address | None, ...]:
    return listen or (None,)


def find_collisions(listeners: Iterable[Listener], loaded: LoadedSpec) -> None:
    """Add a fault for each pair of listeners on the same port."""
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
            port_collision(
                blamed.protocol, str(blamed.ports), dotted(other.key), other.purpose, others=str(other.ports)
            ),
            f"give {dotted(blamed.key)} another port",
        )


def _collide(first: Listener, second: Listener) -> bool:
    everywhere = None in (first.address, second.address)
    same_address = everywhere or first.address == second.address
    return same_address and first.protocol == second.protocol and first.ports.overlaps(second.ports)
