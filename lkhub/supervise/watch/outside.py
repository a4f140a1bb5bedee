"""Which paths clients on other machines have used.

What this machine sends to its own address never meets the firewall in front of it. So whoever carries calls tells whom
else it has met, and that is kept, whatever is restarted, for as long as the path is the one that was used.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.plan.model import Plan, Sighting, Sightings
from lkhub.plan.paths import StatePaths

if TYPE_CHECKING:  # it brings an HTTP client, and commands read the record without one
    from lkhub.supervise.child import Child


@dataclass(frozen=True)
class Way:
    """A path: its addresses and ports (`told`), since when they are these (epoch seconds), and since then the last use
    that proves the way in (`seen`) and the last one that does not (`unproven`)."""

    told: str
    since: float
    seen: Sighting | None = None
    unproven: Sighting | None = None

    @property
    def best(self) -> Sighting | None:
        """The last use that proves the way in, else the last one of all."""
        return self.seen or self.unproven


Ways = dict[str, Way]
"""By path."""

_WAYS = TypeAdapter(Ways)
_SEEN = TypeAdapter(dict[str, Sighting])


def describe_ways(plan: Plan) -> dict[str, str]:
    """The addresses and ports of each path whose use can be seen. A hub for this machine alone has none, and a
    livekit-server of the user's does not tell."""
    if plan.reach == "local":
        return {}
    media, relay = plan.media, plan.relay
    addresses = " ".join(f"{address.external}={address.local}" for address in media.addresses)
    ways = {}
    if any(process.knows_participants and process.sees_clients for process in plan.processes):
        ways["udp"] = f"{addresses} {media.udp}"
        if media.tcp:
            ways["tcp"] = f"{addresses} {media.tcp}"
    if relay and relay.udp:
        ways["turn-udp"] = f"{addresses} {relay.udp}"
    if relay and relay.tls:
        ways["turn-tls"] = f"{addresses} {relay.tls} {plan.edge.turn if plan.edge else ''}"
    return ways


def follow(ways: Ways, told: Mapping[str, str], now: float) -> Ways:
    """The ways as they are told now. What was seen of one that has changed is forgotten."""
    return {
        path: ways[path] if path in ways and ways[path].told == text else Way(text, now) for path, text in told.items()
    }


def merge(ways: Ways, seen: Iterable[tuple[str, Sighting]]) -> Ways:
    """The ways with the uses of paths that a process has seen. Those from before `since` are left out: the path had
    another address or port then."""
    merged = dict(ways)
    for path, sighting in seen:
        if path in merged:
            merged[path] = _add(merged[path], sighting)
    return merged


def _add(way: Way, seen: Sighting) -> Way:
    known = way.seen if seen.proven else way.unproven
    if seen.at < way.since or (known and seen.at <= known.at):
        return way
    return replace(way, seen=seen) if seen.proven else replace(way, unproven=seen)


def load_ways(paths: StatePaths) -> Ways:
    """What is on record; nothing where that can't be read."""
    try:
        text = files.read_text(paths.outside)
        return _WAYS.validate_json(text) if text else {}
    except (ValueError, MachineError):
        return {}


def load_sightings(paths: StatePaths) -> Sightings:
    """What is on record of each path whose use can be seen."""
    return {path: way.best for path, way in load_ways(paths).items()}


class Outside:
    """The record of one hub, kept up to date."""

    def __init__(self, paths: StatePaths, clock: Callable[[], float]) -> None:
        self.ways = load_ways(paths)
        self._paths = paths
        self._clock = clock

    def follow(self, plan: Plan) -> None:
        """Forget what `plan`, which is in force now, has changed."""
        self._keep(follow(self.ways, describe_ways(plan), self._clock()))

    def write_missing(self) -> None:
        """Write the record again where somebody has removed it."""
        if self.ways and not os.path.exists(self._paths.outside):
            self._write()

    async def look(self, children: Mapping[str, "Child"]) -> None:
        """Ask those who see clients."""
        for child in list(children.values()):
            if child.plan.sees_clients:
                self._keep(merge(self.ways, _read_seen(await child.ask_status())))

    def _keep(self, ways: Ways) -> None:
        if ways == self.ways:
            return
        self.ways = ways
        self._write()

    def _write(self) -> None:
        with contextlib.suppress(MachineError):  # a full disk must not end the supervisor
            files.write_private(self._paths.outside, _WAYS.dump_json(self.ways, indent=2).decode() + "\n")


def _read_seen(status: Any) -> list[tuple[str, Sighting]]:
    """The uses of paths that a process tells of, as far as this version can read them."""
    seen: list[tuple[str, Sighting]] = []
    for key, proven in (("seen", True), ("unproven", False)):
        with contextlib.suppress(ValueError, LookupError, TypeError):
            told = _SEEN.validate_python(status[key])
            seen += [(path, replace(sighting, proven=proven)) for path, sighting in told.items()]
    return seen
