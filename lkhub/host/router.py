"""Port mappings of a home router: asked for, renewed, given back. Each mapping remembers the protocol that worked.

The engine asks, by PCP, NAT-PMP or UPnP; only the machine's own default gateway, and only when the user says so. A
mapping expires unless it is renewed, so a hub that has ended leaves no open port behind.
"""

import socket
import time
from collections.abc import Callable, Iterable

from lkhub.errors import MachineError
from lkhub.host.engine import ask_one_shot, bundled_engine
from lkhub.plan.model import Protocol
from lkhub.state.router import Mapping, RouterRecord
from lkhub.wire.failure import FailureAnswer
from lkhub.wire.message import dump_message
from lkhub.wire.portmap import Answer, Port, Record, RecordedPort, Request, parse_answer

# Long enough that a supervisor's restart or a night without one loses nothing. Less than a day, since some routers
# can't count further.
LEASE_SECONDS = 12 * 3600

# The engine ends each exchange with a router by itself; this is for an engine that hangs.
ENGINE_SECONDS = 120.0

Wanted = tuple[Protocol, int, str]
"""A mapping to ask for: protocol, port, name."""

_HINTS = {
    "no-answer": (
        "turn on UPnP, NAT-PMP or PCP on its own pages",
        "or forward the ports of `lkhub firewall status` there by hand",
    ),
    "refused": ("nothing of it was left mapped",),
    "other-port": ("nothing of it was left mapped",),
}


class RefusedError(MachineError):
    """The router answers, but gives no mapping, or another one than was asked for."""


class OtherRouterError(MachineError):
    """The router of a record is not this machine's any more: the machine has another router, or none."""


_KINDS = {
    "refused": RefusedError,
    "other-port": RefusedError,
    "no-router": OtherRouterError,
    "other-router": OtherRouterError,
}


def find_local(gateway: str) -> str | None:
    """This machine's IPv4 address towards a gateway, None where there is no route to the gateway."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((gateway, 9))  # sends nothing, only asks the kernel for the route
            return str(probe.getsockname()[0])
    except OSError:
        return None


async def map_ports(
    ports: Iterable[Wanted], old: RouterRecord | None = None, clock: Callable[[], float] = time.time
) -> RouterRecord:
    """Ask for exactly these mappings, each from the external port with the same number.

    Mappings in `old` that are no longer wanted are given back. Raises MachineError where the router refuses; then none
    of the new mappings is left.
    """
    mappings = tuple(Port(*wanted) for wanted in ports)
    return await _record(Request("map", LEASE_SECONDS, mappings, _pack(old) if old else None), old, clock)


async def renew(record: RouterRecord, clock: Callable[[], float] = time.time) -> RouterRecord:
    """The same mappings for another lease; also after the router has lost them, or this machine has another address.

    A router at the same address is asked by the protocol that worked before, and another router not at all. Raises
    MachineError, RefusedError and OtherRouterError among them.
    """
    return await _record(Request("renew", LEASE_SECONDS, (), _pack(record)), record, clock)


async def unmap_ports(record: RouterRecord) -> None:
    """Give every mapping back. Raises MachineError with those that the router keeps."""
    if any(mapping.own for mapping in record.mappings):
        answer = await _ask(Request("unmap", 0, (), _pack(record)))
        _check(answer, record)


async def _record(request: Request, old: RouterRecord | None, clock: Callable[[], float]) -> RouterRecord:
    # The time before the request: the router counts from its answer, and a lease must not be taken for longer than it
    # is.
    now = clock()
    answer = await _ask(request)
    _check(answer, old)
    mappings = tuple(
        Mapping(row.protocol, row.port, row.name, now, None if row.seconds is None else now + row.seconds, row.own)
        for row in answer.mappings
        if row.reason == "granted"
    )
    assert answer.means
    return RouterRecord(answer.gateway, answer.local, answer.means, answer.nonce, mappings, answer.external_address)


async def _ask(request: Request) -> Answer:
    engine = bundled_engine()
    said = await ask_one_shot([engine, "portmap", "-"], dump_message(request), ENGINE_SECONDS)
    try:
        answer = parse_answer(said)
    except ValueError as error:
        raise MachineError(f"{engine} portmap did not answer: {error}") from error
    if isinstance(answer, FailureAnswer):
        raise MachineError(f"{engine} portmap failed: {answer.error.message}")
    return answer


def _check(answer: Answer, old: RouterRecord | None) -> None:
    """Raise the failure that the answer reports."""
    if answer.error is None:
        return
    hints = _hint_kept(answer, old) if answer.error.code == "kept" and old else _HINTS.get(answer.error.code, ())
    raise _KINDS.get(answer.error.code, MachineError)(answer.error.message, hints=hints)


def _hint_kept(answer: Answer, old: RouterRecord) -> tuple[str, ...]:
    """A hint about mappings that the router did not remove."""
    kept = {(row.protocol, row.port) for row in answer.mappings if row.reason not in ("granted", "given-back")}
    for_ever = any(each.until is None for each in old.mappings if (each.protocol, each.port) in kept)
    return ("remove them on the router's own pages" if for_ever else "they end by themselves",)


def _pack(record: RouterRecord) -> Record:
    mappings = tuple(RecordedPort(each.protocol, each.port, each.name, each.own) for each in record.mappings)
    return Record(record.gateway, record.local, record.means, record.nonce, mappings)
