"""Port mappings of a home router: asked for, renewed, given back. What works is remembered with each mapping.

Only the machine's own default gateway is asked, and only when the user says so. A mapping ends by itself when nobody
renews it, so that a hub that is gone leaves no open port behind.
"""

import contextlib
import importlib
import re
import socket
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol as Interface

import anyio.to_thread

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host.commands import run_command
from lkhub.host.router_pcp import Granted, NatPmp, NoAnswerError, Pcp, RouterError
from lkhub.plan.model import Protocol
from lkhub.state.router import Mapping, Means, RouterRecord

# Long enough that a supervisor's restart or a night without one loses nothing. Less than a day: some routers count
# no further.
LEASE_SECONDS = 12 * 3600

Wanted = tuple[Protocol, int, str]
"""A mapping to ask for: protocol, port, name."""

_ROUTES = Path("/proc/net/route")
_RTF_GATEWAY = 0x2  # linux/route.h


class RefusedError(MachineError):
    """The router answers, and does not give a mapping, or gives another one."""


class Router(Interface):
    """A router, in one of the languages that routers speak."""

    @property
    def means(self) -> Means: ...

    @property
    def nonce(self) -> str: ...

    async def map(self, protocol: Protocol, port: int, seconds: int, name: str) -> Granted: ...

    async def unmap(self, protocol: Protocol, port: int) -> None: ...


def find_gateway() -> tuple[str, str]:
    """The default gateway, and this machine's address towards it; both IPv4. Raises MachineError without one."""
    gateway = _read_gateway_macos() if sys.platform == "darwin" else read_gateway(_read(_ROUTES))
    if gateway is None:
        raise MachineError("this machine has no router: there is no IPv4 default route")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((gateway, 9))  # sends nothing, only asks the kernel which way it would send
        return gateway, probe.getsockname()[0]


def read_gateway(table: str) -> str | None:
    """The gateway of the best default route in the form of /proc/net/route (net/ipv4/fib_trie.c)."""
    found = []
    for row in (line.split() for line in table.splitlines()[1:]):
        destination, gateway, flags, metric, mask = row[1], row[2], int(row[3], 16), int(row[6]), row[7]
        if destination == mask == "00000000" and flags & _RTF_GATEWAY:
            found.append((metric, str(IPv4Address(bytes.fromhex(gateway)[::-1]))))
    return min(found)[1] if found else None


def _read_gateway_macos() -> str | None:
    done = run_command(Command(("/sbin/route", "-n", "get", "default")))
    found = re.search(r"^\s*gateway: ([\d.]+)$", done.out, re.MULTILINE)
    return found[1] if found else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def list_routers(gateway: str, local: str) -> Iterable[Callable[[], Router]]:
    """The languages, the one that says most first."""

    def upnp() -> Router:
        # Imported here: it costs 0.3 s, and few routers are asked.
        from lkhub.host.router_upnp import Upnp

        return Upnp(gateway, local)

    return (lambda: Pcp(gateway, local), lambda: NatPmp(gateway, local), upnp)


def open_router(record: RouterRecord) -> Router:
    """The router of a record, in the language that it was asked in."""
    if record.means == "pcp":
        return Pcp(record.gateway, record.local, record.nonce)
    if record.means == "nat-pmp":
        return NatPmp(record.gateway, record.local)
    from lkhub.host.router_upnp import Upnp

    return Upnp(record.gateway, record.local)


async def map_ports(
    ports: Iterable[Wanted], old: RouterRecord | None = None, clock: Callable[[], float] = time.time
) -> RouterRecord:
    """Ask for exactly these mappings, each to the same port outside.

    Those of `old` that are no longer among them are given back. Raises MachineError where the router does not do it;
    then none of the new ones is left.
    """
    gateway, local = find_gateway()
    wanted = tuple(ports)
    if old and (old.gateway, old.local) == (gateway, local):
        # Another router at this address may speak another language.
        with contextlib.suppress(NoAnswerError):
            return await _map_again(old, wanted, clock)
    said = []
    for make in list_routers(gateway, local):
        router = make()
        try:
            return await _map_all(router, gateway, local, wanted, (), clock)
        except NoAnswerError as error:
            said.append(f"{router.means}: {error}")
    raise _silent(gateway, "; ".join(said))


def _silent(gateway: str, said: str) -> MachineError:
    return MachineError(
        f"the router at {gateway} does not take requests for port mappings ({said})",
        hints=(
            "turn on UPnP, NAT-PMP or PCP on its own pages",
            "or forward the ports of `lkhub firewall status` there by hand",
        ),
    )


async def renew(record: RouterRecord, clock: Callable[[], float] = time.time) -> RouterRecord:
    """The same mappings for another lease; also after the router has lost them, or this machine has another address.

    A router that has not moved is asked in its own language alone. Raises MachineError, RefusedError among them.
    """
    if record.means == "upnp":
        # Its libraries take 0.2 s to load. Here, and not where they are used, so that whoever calls us from a loop
        # goes on meanwhile.
        await anyio.to_thread.run_sync(importlib.import_module, "lkhub.host.router_upnp")
    wanted = [(*_at(mapping), mapping.name) for mapping in record.mappings]
    if find_gateway() != (record.gateway, record.local):
        return await map_ports(wanted, None, clock)
    try:
        return await _map_again(record, wanted, clock)
    except NoAnswerError as error:
        raise _silent(record.gateway, f"{record.means}: {error}") from error


async def _map_again(old: RouterRecord, wanted: Iterable[Wanted], clock: Callable[[], float]) -> RouterRecord:
    """These mappings in the language of `old`, in place of its own. Raises MachineError, NoAnswerError."""
    record = await _map_all(open_router(old), old.gateway, old.local, wanted, old.mappings, clock)
    kept = {_at(mapping) for mapping in record.mappings}
    await unmap_ports(replace(old, mappings=tuple(mapping for mapping in old.mappings if _at(mapping) not in kept)))
    return record


async def unmap_ports(record: RouterRecord) -> None:
    """Give every mapping back. Raises MachineError with those that the router keeps."""
    if not record.mappings:
        return
    router = open_router(record)
    kept = []
    for mapping in (mapping for mapping in record.mappings if mapping.own):
        try:
            await router.unmap(mapping.protocol, mapping.port)
        except RouterError as error:
            kept.append(f"{mapping} ({error})")
    if kept:
        ends = [mapping.until for mapping in record.mappings]
        hint = "they end by themselves" if None not in ends else "remove them on the router's own pages"
        raise MachineError(f"the router at {record.gateway} keeps {', '.join(kept)}", hints=(hint,))


def _at(mapping: Mapping) -> tuple[Protocol, int]:
    return mapping.protocol, mapping.port


async def _map_all(
    router: Router,
    gateway: str,
    local: str,
    wanted: Iterable[Wanted],
    before: tuple[Mapping, ...],
    clock: Callable[[], float],
) -> RouterRecord:
    record = RouterRecord(gateway, local, router.means, str(IPv4Address(0)), router.nonce, ())
    for protocol, port, name in wanted:
        try:
            granted = await router.map(protocol, port, LEASE_SECONDS, name)
            now = clock()
            until = None if granted.seconds is None else now + granted.seconds
            made = Mapping(protocol, port, name, now, until, granted.own)
            record = replace(record, outside=str(granted.address), mappings=(*record.mappings, made))
            if granted.port != port:
                raise RouterError(f"it gave port {granted.port} outside: {port} is taken")
        except NoAnswerError:
            if not record.mappings:
                raise
            await _take_back(router, record.mappings, before)
            raise MachineError(f"the router at {gateway} stopped answering") from None
        except RouterError as error:
            await _take_back(router, record.mappings, before)
            raise RefusedError(
                f"the router at {gateway} refused {port}/{protocol}: {error}", hints=("nothing of it was left mapped",)
            ) from error
    return record


async def _take_back(router: Router, made: Iterable[Mapping], before: tuple[Mapping, ...]) -> None:
    """Give back what was not there before."""
    known = {_at(mapping) for mapping in before}
    for mapping in made:
        if mapping.own and _at(mapping) not in known:
            try:
                await router.unmap(*_at(mapping))
            except RouterError:
                continue
