"""Port mappings of a home router: asked for, renewed, given back. What works is remembered with each mapping.

The engine asks, by PCP, NAT-PMP or UPnP; only the machine's own default gateway, and only when the user says so. A
mapping ends by itself when nothing renews it, so that a hub that is gone leaves no open port behind.
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

# Long enough that a supervisor's restart or a night without one loses nothing. Less than a day: some routers count
# no further.
LEASE_SECONDS = 12 * 3600

# The engine ends each exchange with a router by itself; this is for one that hangs.
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
    """The router answers, and does not give a mapping, or gives another one."""


class OtherRouterError(MachineError):
    """The router of a record is not this machine's any more: it has another one, or none."""


_KINDS = {
    "refused": RefusedError,
    "other-port": RefusedError,
    "no-router": OtherRouterError,
    "other-router": OtherRouterError,
}


def find_local(gateway: str) -> str | None:
    """This machine's IPv4 address towards a gateway, None where there is no way to it."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((gateway, 9))  # sends nothing, only asks the kernel which way it would send
            return str(probe.getsockname()[0])
    except OSError:
        return None


async def map_ports(
    ports: Iterable[Wanted], old: RouterRecord | None = None, clock: Callable[[], float] = time.time
) -> RouterRecord:
    """Ask for exactly these mappings, each to the same port outside.

    Those of `old` that are no longer among them are given back. Raises MachineError where the router does not do it;
    then none of the new ones is left.
    """
    mappings = tuple(Port(*wanted) for wanted in ports)
    return await _record(Request("map", LEASE_SECONDS, mappings, _pack(old) if old else None), old, clock)


async def renew(record: RouterRecord, clock: Callable[[], float] = time.time) -> RouterRecord:
    """The same mappings for another lease; also after the router has lost them, or this machine has another address.

    A router that has not moved is asked in its own language alone, and another router not at all. Raises MachineError,
    RefusedError and OtherRouterError among them.
    """
    return await _record(Request("renew", LEASE_SECONDS, (), _pack(record)), record, clock)


async def unmap_ports(record: RouterRecord) -> None:
    """Give every mapping back. Raises MachineError with those that the router keeps."""
    if any(mapping.own for mapping in record.mappings):
        answer = await _ask(Request("unmap", 0, (), _pack(record)))
        _check(answer, record)


async def _record(request: Request, old: RouterRecord | None, clock: Callable[[], float]) -> RouterRecord:
    # Of before it was asked: the router counts from when it answers, and no lease is to be taken for longer than it is.
    now = clock()
    answer = await _ask(request)
    _check(answer, old)
    mappings = tuple(
        Mapping(row.protocol, row.port, row.name, now, None if row.seconds is None else now + row.seconds, row.own)
        for row in answer.mappings
        if row.reason == "granted"
    )
    assert answer.means
    return RouterRecord(answer.gateway, answer.local, answer.means, answer.outside, answer.nonce, mappings)


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
    """Raise what the answer says that failed."""
    if answer.error is None:
        return
    hints = _hint_kept(answer, old) if answer.error.code == "kept" and old else _HINTS.get(answer.error.code, ())
    raise _KINDS.get(answer.error.code, MachineError)(answer.error.message, hints=hints)


def _hint_kept(answer: Answer, old: RouterRecord) -> tuple[str, ...]:
    """What becomes of mappings that the router did not take back."""
    kept = {(row.protocol, row.port) for row in answer.mappings if row.reason not in ("granted", "given-back")}
    for_ever = any(each.until is None for each in old.mappings if (each.protocol, each.port) in kept)
    return ("remove them on the router's own pages" if for_ever else "they end by themselves",)


def _pack(record: RouterRecord) -> Record:
    mappings = tuple(RecordedPort(each.protocol, each.port, each.name, each.own) for each in record.mappings)
    return Record(record.gateway, record.local, record.means, record.nonce, mappings)
