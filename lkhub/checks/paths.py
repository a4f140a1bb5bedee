"""What a probe of one ICE path proved, and the request that asks for it. Pure.

The probe itself is `lkhub-engine probe`: a real pair of participants restricted to one kind of path.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter

from lkhub.livekit.tokens import PROBE_ROOM_PREFIX, Grant, join_grant, sign
from lkhub.plan.model import ProbePath
from lkhub.secret import Secret

# One path must be through within this, or it is not usable in a call either: LiveKit itself gives up a
# path after 15 s, and a person does sooner.
PROBE_TIMEOUT_MS = 10_000

# Packets are counted this long once media flows: 20 packets of audio.
MEDIA_MS = 400

# Long enough for the slowest probe, too short to be of use to anyone.
TOKEN_SECONDS = 120

# A room without named agents gets every unnamed worker (livekit-server, pkg/rtc/room.go,
# createAgentDispatchesFromRoomAgent); one named agent that nobody runs keeps them all away.
ROOM_SETTINGS: dict[str, Any] = {"agents": [{"agentName": "lkhub-verify-nobody"}]}


@dataclass(frozen=True)
class PathResult:
    """`ok` None: could not be tried, with the reason in `detail`. `stage` is the last one reached or the
    one that failed, `reason` the code of what was seen there and `evidence` what it was seen by
    (engine/internal/probe/reasons.go). Times in milliseconds, `loss` and `picture_loss` (of packets of a
    picture's size) from 0 to 1. `native` says whether libwebrtc accepts the chain of TURN over TLS, `native_detail`
    why."""

    path: str
    ok: bool | None
    stage: str
    detail: str
    connect_ms: float | None = None
    rtt_ms: float | None = None
    loss: float | None = None
    local: str | None = None
    remote: str | None = None
    relay: str | None = None
    native: bool | None = None
    native_detail: str | None = None
    picture_loss: float | None = None
    jitter_ms: float | None = None
    lateness_ms: float | None = None
    reason: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


_PATH_RESULT = TypeAdapter(PathResult)

WebPart = Literal["page", "api", "redirect", "forwarded"]


@dataclass(frozen=True)
class WebResult:
    """What came of asking for `url`: the page of a join link, LiveKit's API; behind a proxy also whether plain HTTP is
    led to HTTPS (`redirect`), and whether the hub is told where clients are (`forwarded`). `ok` None: could not be
    tried. `reason` and `evidence` are those of a path, and besides `another-page`, `part-missing`, `not-redirected` and
    `no-forwarded-for`."""

    what: WebPart
    ok: bool | None
    url: str
    reason: str = ""
    detail: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)

    @property
    def keeps_out(self) -> bool:
        """Whether people or applications do not get in. Without the rest the hub is worse, and there."""
        return self.ok is False and self.what in ("page", "api")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ProbeRoom:
    """The room and the tokens of one path's probe."""

    path: ProbePath
    room: str
    tokens: tuple[str, ...]


def open_rooms(paths: Iterable[ProbePath], key: str, secret: Secret) -> tuple[ProbeRoom, ...]:
    """A room of its own for each path, so that all can be probed at once."""
    return tuple(_open_room(path, key, secret) for path in paths)


def _open_room(path: ProbePath, key: str, secret: Secret) -> ProbeRoom:
    room = f"{PROBE_ROOM_PREFIX}{path}-{secrets.token_hex(4)}"
    grants = (
        Grant(identity, join_grant(room), room_config=ROOM_SETTINGS, ttl_seconds=TOKEN_SECONDS)
        for identity in ("lkhub-verify-speaker", "lkhub-verify-listener")
    )
    return ProbeRoom(path, room, tuple(sign(grant, key, secret) for grant in grants))


@dataclass(frozen=True)
class Overrides:
    """How a hub's own machine gets to it: `ca` is the path of a root certificate to trust besides the system's,
    `resolve` leads names and outside addresses to where they are on this machine, `api` is where rooms are deleted."""

    ca: str
    resolve: Mapping[str, str]
    api: str


def build_request(
    url: str, tokens: Mapping[ProbePath, Sequence[str]], overrides: Overrides | None = None
) -> dict[str, Any]:
    """What `lkhub-engine probe` reads on stdin: for each path the tokens of one or two participants."""
    request: dict[str, Any] = {
        "url": url,
        "timeout_ms": PROBE_TIMEOUT_MS,
        "media_ms": MEDIA_MS,
        "paths": [{"path": path, "tokens": list(pair)} for path, pair in tokens.items()],
    }
    if overrides and overrides.ca:
        request["ca_file"] = overrides.ca
    if overrides and overrides.resolve:
        request["resolve"] = dict(overrides.resolve)
    return request


def not_promised(path: ProbePath) -> PathResult:
    """The result of a path that was asked for by name, and that this hub's spec leaves out."""
    return PathResult(path, False, "join", "the hub's spec does not offer this path", reason="not-promised")


# LiveKit's keys have 15 characters, its secrets 43 or more; its server complains of a secret that is shorter than this.
SECRET_LENGTH = 32


def looks_swapped(key: str, secret: str) -> bool:
    """Whether the secret was given as the key and the key as the secret."""
    return len(key) >= SECRET_LENGTH > len(secret)


def _hide_secret(result: PathResult) -> PathResult:
    """A key that the server does not know is shown, but not one that is as long as a secret: it may be one."""
    key = result.evidence.get("key", "")
    if len(key) < SECRET_LENGTH:
        return result
    evidence = {name: value for name, value in result.evidence.items() if name != "key"} | {"key_like": "secret"}
    return replace(result, detail=result.detail.replace(key, "(as long as a secret)"), evidence=evidence)


def read_result(row: Mapping[str, Any], *, promised: bool) -> PathResult:
    """One line of the probe's answer. What this hub promises and does not offer is a failure."""
    result = _hide_secret(_PATH_RESULT.validate_python(row))
    if promised and result.ok is None and result.stage == "join":
        return replace(result, ok=False)
    return result
