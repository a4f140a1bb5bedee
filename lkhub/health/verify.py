"""Prove every path that a hub promises, with a real call through each alone."""

import json
import subprocess
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from lkhub.errors import MachineError
from lkhub.health.paths import PROBE_TIMEOUT_MS, PathResult, ProbeRoom, WayHome, build_request, open_rooms, read_result
from lkhub.host.engine import bundled_engine, require_engine
from lkhub.host.http import httpx
from lkhub.plan.model import ProbePath
from lkhub.spec.secret import Secret
from lkhub.tokens import Grant, sign

# The probe has its own deadline; this is for one that hangs.
PROBE_GRACE_SECONDS = 10

DELETE_SECONDS = 3.0

# Who fails at one of these stages has made no room.
BEFORE_JOINING = ("dns", "tcp", "tls", "http", "token")


def verify_paths(
    url: str, paths: Iterable[ProbePath], key: str, secret: Secret, *, home: WayHome | None = None
) -> tuple[PathResult, ...]:
    """Call ourselves through each of `paths` of the LiveKit at `url` (ws or wss), all at once.

    With `home` it is this machine's own hub, whose spec promises them: one that is not offered has failed.
    """
    rooms = open_rooms(paths, key, secret)
    never_made: set[str] = set()
    try:
        rows = run_probe(build_request(url, {room.path: room.tokens for room in rooms}, home))
        # The same stages come again on the way to a TURN server, once the room is there.
        never_made = {row["path"] for row in rows if row["stage"] in BEFORE_JOINING and not row["relay"]}
    finally:
        _delete_rooms(home.api if home else url, [room for room in rooms if room.path not in never_made], key, secret)
    results = {row["path"]: read_result(row, promised=home is not None) for row in rows}
    silent = "the probe ended without a word on this path"
    return tuple(results.get(room.path, PathResult(room.path, None, "", silent)) for room in rooms)


def run_probe(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Run `lkhub-engine probe`; one row for each path. Tokens go in by stdin, never by argument."""
    engine = bundled_engine()
    require_engine(engine)
    try:
        done = subprocess.run(
            [engine, "probe"],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_MS / 1000 + PROBE_GRACE_SECONDS,
        )
        rows = [json.loads(line) for line in done.stdout.splitlines()]
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise MachineError(f"the probe did not answer: {type(error).__name__}") from error
    for row in rows:
        if "error" in row:
            raise MachineError(f"the probe failed: {row['error']['message']}")
    return rows


def _delete_rooms(url: str, rooms: Iterable[ProbeRoom], key: str, secret: Secret) -> None:
    """Leave nothing behind. A room that can't be deleted closes by itself when it stays empty."""
    parts = urlsplit(url)
    base = parts._replace(scheme=parts.scheme.replace("ws", "http")).geturl().rstrip("/")
    token = sign(Grant("lkhub", {"roomCreate": True}, ttl_seconds=60), key, secret)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with httpx.Client(timeout=DELETE_SECONDS, trust_env=False, headers=headers) as client:
            for room in rooms:
                client.post(f"{base}/twirp/livekit.RoomService/DeleteRoom", json={"room": room.room})
    except (httpx.HTTPError, httpx.InvalidURL):
        pass
