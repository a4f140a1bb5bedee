"""Which paths clients on other machines have used.

Packets from this machine to its own address never meet the firewall in front of it. So the processes that carry calls
report which clients they have seen, and the record keeps that over every restart, until the path changes.
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
    """The addresses and ports of each path whose use can be seen. With `reach: local` there is none, and the user's own
    livekit-server does not report the clients that it has seen."""
    if plan.reach == "local":
        return {}
    media, relay = plan.media, plan.relay
    addresses = " ".join(f"{address.external}={address.local}" for address in media.addresses)
    told = {}
    if any(process.knows_participants and process.sees_clients for process in plan.processes):
        # Of two media processes, a use of either's ports stands for both.
        told["udp"] = " ".join([addresses, *(str(each.udp) for each in media.ports)])
        if media.tcp:
            told["tcp"] = " ".join([addresses, *(str(each.tcp) for each in media.ports)])
    if relay and relay.udp:
        told["turn-udp"] = f"{addresses} {relay.udp}"
    if relay and relay.tls:
        told["turn-tls"] = f"{addresses} {relay.tls} {plan.edge.turn if plan.edge else ''}"
    return told


def follow(uses: PathUses, told: Mapping[str, str], now: float) -> PathUses:
    """The uses of the paths that clients are told now. The uses of a path that has changed are forgotten."""
    return {
        path: uses[path] if path in uses and uses[path].told == text else PathUse(text, now)
        for path, text in told.items()
    }


def merge(uses: PathUses, seen: Iterable[tuple[str, Sighting]]) -> PathUses:
    """The uses, updated with what a process has seen. A use before `since` is left out: the path had another address or
    port then."""
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
        """Forget the uses of paths that differ in `plan`, which is in force now."""
        self._keep(follow(self.uses, describe_paths(plan), self._clock()))

    def write_missing(self) -> None:
        """Write the record again if it was removed."""
        if self.uses and not os.path.exists(self._paths.outside):
            self._write()

    def note(self, statuses: Iterable[ProcessStatus]) -> None:
        """Keep which clients the processes have seen."""
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
    """The uses of paths in the status of a process."""
    proven = [(path, Sighting(use.at, use.address)) for path, use in status.seen.items()]
    return [*proven, *((path, Sighting(use.at, use.address, proven=False)) for path, use in status.unproven.items())]
