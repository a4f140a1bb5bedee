"""Prove every path that a hub promises, with a real call through each alone."""

import contextlib
import json
import subprocess
from collections.abc import Iterable
from typing import Any

from lkhub.checks.paths import (
    PROBE_TIMEOUT_MS,
    ROOM_SETTINGS,
    Overrides,
    PathResult,
    ProbeRoom,
    build_request,
    open_rooms,
    read_result,
)
from lkhub.errors import MachineError
from lkhub.host.engine import bundled_engine, require_engine
from lkhub.host.environ import tool_environ
from lkhub.livekit.rooms import RoomService
from lkhub.plan.model import ProbePath
from lkhub.secret import Secret
from lkhub.source.json_text import parse_json

# The probe has its own deadline; this is for one that hangs.
PROBE_GRACE_SECONDS = 10

# Who fails at one of these stages has made no room.
BEFORE_JOINING = ("dns", "tcp", "tls", "http", "token")


def verify_paths(
    url: str, paths: Iterable[ProbePath], key: str, secret: Secret, *, overrides: Overrides | None = None
) -> tuple[PathResult, ...]:
    """Call ourselves through each of `paths` of the LiveKit at `url` (ws or wss), all at once.

    With `overrides` it is this machine's own hub, whose spec promises them: one that is not offered has failed.
    """
    rooms = open_rooms(paths, key, secret)
    with RoomService(overrides.api if overrides else url, key, secret) as service:
        made = _create_rooms(service, rooms)
        try:
            rows = run_probe(build_request(url, {room.path: room.tokens for room in rooms}, overrides))
            # The same stages come again on the way to a TURN server, once the room is there.
            before = {row["path"] for row in rows if row["stage"] in BEFORE_JOINING and not row["relay"]}
            made |= {room.room for room in rooms if room.path not in before}
        except MachineError:
            made |= {room.room for room in rooms}
            raise
        finally:
            _delete_rooms(service, made)
    results = {row["path"]: read_result(row, promised=overrides is not None) for row in rows}
    silent = "the probe ended without a word on this path"
    return tuple(results.get(room.path, PathResult(room.path, None, "", silent)) for room in rooms)


def run_probe(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Run `lkhub-engine probe`; one row for each path. Tokens go in by stdin, never by argument."""
    engine = bundled_engine()
    require_engine(engine)
    try:
        done = subprocess.run(
            [engine, "probe"],
            env=tool_environ(),
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_MS / 1000 + PROBE_GRACE_SECONDS,
        )
        rows = [parse_json(line) for line in done.stdout.splitlines()]
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise MachineError(f"the probe did not answer: {type(error).__name__}") from error
    for row in rows:
        if "error" in row:
            raise MachineError(f"the probe failed: {row['error']['message']}")
    return rows


def _create_rooms(service: RoomService, rooms: Iterable[ProbeRoom]) -> set[str]:
    """Open the rooms, since joining does not everywhere (room.auto_create: false); the names of those that are open.

    A server that can't be asked is judged by the probe.
    """
    made = set()
    with contextlib.suppress(MachineError):
        for room in rooms:
            service.create(room.room, **ROOM_SETTINGS)
            made.add(room.room)
    return made


def _delete_rooms(service: RoomService, rooms: Iterable[str]) -> None:
    """Leave nothing behind. A room that can't be deleted closes by itself when it stays empty."""
    with contextlib.suppress(MachineError):
        for room in sorted(rooms):
            service.delete(room)
