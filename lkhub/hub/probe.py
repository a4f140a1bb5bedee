"""Prove every path that a hub promises, by a real call through this path alone."""

import contextlib
import subprocess
from collections.abc import Iterable

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
from lkhub.errors import MachineError, describe_error
from lkhub.host.engine import bundled_engine, require_engine
from lkhub.host.environ import tool_environ
from lkhub.livekit.room_calls import create_room, delete_room
from lkhub.livekit.rooms import RoomService
from lkhub.plan.model import ProbePath
from lkhub.secret import Secret
from lkhub.wire.engine import ProbeRequest, ProbeResult
from lkhub.wire.failure import Failure, parse_answer
from lkhub.wire.message import dump_message

# The probe has a deadline of its own. After so much more time it is taken to hang.
PROBE_GRACE_SECONDS = 10

# A participant that fails at one of these stages has not joined, and so has made no room.
BEFORE_JOINING = ("dns", "tcp", "tls", "http", "token")


def verify_paths(
    url: str, paths: Iterable[ProbePath], key: str, secret: Secret, *, overrides: Overrides | None = None
) -> tuple[PathResult, ...]:
    """Make a call through each of `paths` of the LiveKit at `url` (ws or wss), all at the same time.

    With `overrides` the LiveKit is this machine's own hub, whose spec promises these paths: a path that it does not
    offer has failed.
    """
    rooms = open_rooms(paths, key, secret)
    with RoomService(overrides.api if overrides else url, key, secret) as service:
        made = _create_rooms(service, rooms)
        try:
            answers = run_probe(build_request(url, {room.path: room.tokens for room in rooms}, overrides))
            # A path with a relay passes these stages a second time, to the TURN server. Its room exists by then.
            before = {each.path for each in answers if each.stage in BEFORE_JOINING and not each.relay}
            made |= {room.room for room in rooms if room.path not in before}
        except MachineError:
            made |= {room.room for room in rooms}
            raise
        finally:
            _delete_rooms(service, made)
    results = {each.path: read_result(each, promised=overrides is not None) for each in answers}
    silent = "the probe ended without a word on this path"
    return tuple(results.get(room.path, PathResult(room.path, None, "", silent)) for room in rooms)


def run_probe(request: ProbeRequest) -> tuple[ProbeResult, ...]:
    """Run `lkhub-engine probe`, and return its answer for each path. Tokens go in by stdin, never by argument."""
    engine, seconds = bundled_engine(), PROBE_TIMEOUT_MS / 1000 + PROBE_GRACE_SECONDS
    require_engine(engine)
    try:
        done = subprocess.run(
            [engine, "probe"],
            env=tool_environ(),
            input=dump_message(request),
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        answers = [parse_answer(ProbeResult, line) for line in done.stdout.splitlines()]
    except subprocess.TimeoutExpired:
        raise MachineError(f"the probe did not answer within {seconds:g} s") from None
    except (OSError, ValueError) as error:
        raise MachineError(f"the probe did not answer: {describe_error(error)}") from error
    for answer in answers:
        if isinstance(answer, Failure):
            raise MachineError(f"the probe failed: {answer.message}")
    return tuple(answer for answer in answers if not isinstance(answer, Failure))


def _create_rooms(service: RoomService, rooms: Iterable[ProbeRoom]) -> set[str]:
    """Create the rooms, and return the names of those that were created. Where room.auto_create is false, joining does
    not create a room.

    No error where the server can't be asked: the probe finds out why.
    """
    made = set()
    with contextlib.suppress(MachineError):
        for room in rooms:
            service.ask(create_room(room.room, ROOM_SETTINGS))
            made.add(room.room)
    return made


def _delete_rooms(service: RoomService, rooms: Iterable[str]) -> None:
    """Delete the rooms. A room that can't be deleted closes by itself once it has been empty for a while."""
    with contextlib.suppress(MachineError):
        for room in sorted(rooms):
            service.ask(delete_room(room))
