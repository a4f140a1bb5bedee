"""Which paths clients on other machines have used.

What this machine sends to its own address never meets the firewall in front of it. So whoever carries calls tells whom
else it has met, and that is kept, whatever is restarted, for as long as the path is the one that was used.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from lkhub.errors import MachineError
from lkhub.plan.model import Plan, Sighting
from lkhub.plan.paths import StatePaths
from lkhub.state.outside import PathUse, PathUses, read_uses, write_uses
from lkhub.wire.engine import ProcessStatus


def describe_paths(plan: Plan) -> dict[str, str]:
    """The addresses and ports of each path whose use can be seen. A hub for this machine alone has none, and a
    livekit-server of the user's does not tell."""
    if plan.reach == "local":
        return {}
    media, relay = plan.media, plan.relay
    addresses = " ".join(f"{address.external}={address.local}" for address in media.addresses)
    told = {}
    if any(process.knows_participants and process.sees_clients for process in plan.processes):
        told["udp"] = f"{addresses} {media.udp}"
        if media.tcp:
            told["tcp"] = f"{addresses} {media.tcp}"
    if relay and relay.udp:
        told["turn-udp"] = f"{addresses} {relay.udp}"
    if relay and relay.tls:
        told["turn-tls"] = f"{addresses} {relay.tls} {plan.edge.turn if plan.edge else ''}"
    return told


def follow(uses: PathUses, told: Mapping[str, str], now: float) -> PathUses:
    """The uses as they are told now. What was seen of one that has changed is forgotten."""
    return {
        path: uses[path] if path in uses and uses[path].told == text else PathUse(text, now)
        for path, text in told.items()
    }


def merge(uses: PathUses, seen: Iterable[tuple[str, Sighting]]) -> PathUses:
    """The uses with the uses of paths that a process has seen. Those from before `since` are left out: the path had
    another address or port then."""
    merged = dict(uses)
    for path, sighting in seen:
        if path in merged:
            merged[path] = _add(merged[path], sighting)
    return merged


def _add(use: PathUse, seen: Sighting) -> PathUse:
    known = use.seen if seen.proven else use.unproven
    if seen.at < use.since or (known and seen.at <= known.at):
        return use
    return replace(use, seen=seen) if seen.proven else replace(use, unproven=seen)


class Outside:
    """The record of one hub, kept up to date."""

    def __init__(self, paths: StatePaths, clock: Callable[[], float]) -> None:
        self.uses = read_uses(paths)
        self._paths = paths
        self._clock = clock

    def follow(self, plan: Plan) -> None:
        """Forget what `plan`, which is in force now, has changed."""
        self._keep(follow(self.uses, describe_paths(plan), self._clock()))

    def write_missing(self) -> None:
        """Write the record again where somebody has removed it."""
        if self.uses and not os.path.exists(self._paths.outside):
            self._write()

    def note(self, statuses: Iterable[ProcessStatus]) -> None:
        """Keep which clients processes have seen."""
        for status in statuses:
            self._keep(merge(self.uses, _list_uses(status)))

    def _keep(self, uses: PathUses) -> None:
        if uses == self.uses:
            return
        self.uses = uses
        self._write()

    def _write(self) -> None:
        with contextlib.suppress(MachineError):  # a full disk must not end the supervisor
            write_uses(self._paths, self.uses)


def _list_uses(status: ProcessStatus) -> list[tuple[str, Sighting]]:
    """The uses of paths that a process tells of."""
    proven = [(path, Sighting(use.at, use.address)) for path, use in status.seen.items()]
    return [*proven, *((path, Sighting(use.at, use.address, proven=False)) for path, use in status.unproven.items())]
