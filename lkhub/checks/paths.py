"""What a probe of one ICE path proved, and the request that asks for the probe. Pure.

The probe itself is `lkhub-engine probe`: a real pair of participants whose media may take only this path.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Literal

from lkhub.livekit.tokens import PROBE_ROOM_PREFIX, Grant, join_grant, sign
from lkhub.plan.model import ProbePath
from lkhub.secret import Secret
from lkhub.source.json_text import Json
from lkhub.wire.engine import ProbePathRequest, ProbeRequest, ProbeResult

# A path that takes longer to connect is not usable in a call either: LiveKit itself gives up a path after 15 s, and a
# person gives up sooner.
PROBE_TIMEOUT_MS = 10_000

# For so long packets are counted once media flows: 20 packets of audio.
MEDIA_MS = 400

# A probe's tokens are valid for so long: enough for the slowest probe, and of little use to anyone else.
TOKEN_SECONDS = 120

# Into a room that names no agents livekit-server sends every agent worker without a name (pkg/rtc/room.go,
# createAgentDispatchesFromRoomAgent). A probe's room names one agent that does not exist, so that no worker joins it.
ROOM_SETTINGS: dict[str, Json] = {"agents": [{"agentName": "lkhub-verify-nobody"}]}


@dataclass(frozen=True)
class PathResult:
    """`ok` None: the path could not be tried, and `detail` says why. `stage` is the stage that failed, or else the last
    that was reached. `reason` is the code of what was seen there, and `evidence` has the facts that belong to this code
    (engine/internal/probe/reasons.go). Times are in milliseconds, `loss` and `picture_loss` (of packets of a picture's
    size) from 0 to 1. `native` says whether libwebrtc accepts the certificate chain of TURN over TLS, and
    `native_detail` why."""

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

    def as_json(self) -> dict[str, object]:
        return asdict(self)


WebPart = Literal["page", "api", "redirect", "forwarded"]


@dataclass(frozen=True)
class WebResult:
    """What a request for `url` showed. `what` is the page of a join link or LiveKit's API; behind a proxy also whether
    plain HTTP redirects to HTTPS (`redirect`), and whether the proxy tells the hub the clients' addresses
    (`forwarded`). `ok` None: this could not be tried. `reason` and `evidence` are as in PathResult, and there are the
    further reasons `another-page`, `part-missing`, `not-redirected` and `no-forwarded-for`."""

    what: WebPart
    ok: bool | None
    url: str
    reason: str = ""
    detail: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)

    @property
    def keeps_out(self) -> bool:
        """Whether people or applications do not get in. The other parts make a hub worse when they fail, but not
        unusable."""
        return self.ok is False and self.what in ("page", "api")

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class ProbeRoom:
    """The room and the tokens for the probe of one path."""

    path: ProbePath
    room: str
    tokens: tuple[str, ...]


def open_rooms(paths: Iterable[ProbePath], key: str, secret: Secret) -> tuple[ProbeRoom, ...]:
    """A room for each path, so that all paths can be probed at the same time."""
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
    """How calls from the hub's own machine reach the hub. `ca` is the file of a root certificate to trust besides the
    system's, "" for none. `resolve` has the resolve overrides: for a host name, or for an address that clients are
    told, the address on this machine to connect to. `api` is the URL of LiveKit's API on this machine."""

    ca: str
    resolve: Mapping[str, str]
    api: str


def build_request(
    url: str, tokens: Mapping[ProbePath, Sequence[str]], overrides: Overrides | None = None
) -> ProbeRequest:
    """What `lkhub-engine probe` is asked. `tokens` has for each path the tokens of one or two participants."""
    return ProbeRequest(
        url=url,
        timeout_ms=PROBE_TIMEOUT_MS,
        media_ms=MEDIA_MS,
        paths=tuple(ProbePathRequest(path, tuple(pair)) for path, pair in tokens.items()),
        resolve=overrides.resolve if overrides else {},
        ca_file=overrides.ca if overrides else "",
    )


def not_promised(path: ProbePath) -> PathResult:
    """The result of a path that the user named, and that this hub's spec does not offer."""
    return PathResult(path, False, "join", "the hub's spec does not offer this path", reason="not-promised")


# LiveKit's keys have 15 characters, its secrets 43 or more. livekit-server complains of a secret that is shorter
# than this.
SECRET_LENGTH = 32


def looks_swapped(key: str, secret: str) -> bool:
    """Whether the secret was given as the key and the key as the secret."""
    return len(key) >= SECRET_LENGTH > len(secret)


def _hide_secret(result: PathResult) -> PathResult:
    """The result without the unknown API key in it, if this is so long that it may be a secret."""
    key = result.evidence.get("key", "")
    if len(key) < SECRET_LENGTH:
        return result
    evidence = {name: value for name, value in result.evidence.items() if name != "key"} | {"key_like": "secret"}
    return replace(result, detail=result.detail.replace(key, "(as long as a secret)"), evidence=evidence)


def read_result(answer: ProbeResult, *, promised: bool) -> PathResult:
    """The result in the probe's answer for one path. A path that this hub's spec promises (`promised`), and that the
    running hub does not offer, has failed."""
    result = _hide_secret(PathResult(**{each.name: getattr(answer, each.name) for each in fields(PathResult)}))
    if promised and result.ok is None and result.stage == "join":
        return replace(result, ok=False)
    return result
