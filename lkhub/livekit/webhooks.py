"""LiveKit's webhooks: their signature, and the part of an event that lkhub reads. Pure.

The body of a request is the JSON of a WebhookEvent (livekit/protocol, protobufs/livekit_webhook.proto). `Authorization`
has a JWT, without a scheme, whose claim `sha256` is the digest of the body (webhook/resource_url_notifier.go).
"""

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Mapping

from msgspec import Struct

from lkhub.livekit.claims import SignatureError, read_claims
from lkhub.livekit.room_info import is_counted
from lkhub.livekit.tokens import is_probe_room, sign_claims
from lkhub.secret import Secret
from lkhub.source.json_text import Json, parse_unicode_json
from lkhub.source.typed import ShapeError, unpack

CONTENT_TYPE = "application/webhook+json"

# As LiveKit signs: a request that is stolen on its way can be repeated for so long.
VALID_SECONDS = 300

# A token of LiveKit's has 250 bytes.
MAX_TOKEN_BYTES = 4096

NO_ANSWER = "the connection was closed without an answer"

# What receivers answer to a signature that they can't check. The receivers of LiveKit's SDKs raise an error, which many
# web frameworks answer with 500, and Python's http.server not at all.
_SIGNATURE_REFUSALS = frozenset((400, 401, 403, 500))


def may_be_the_key(problem: str) -> bool:
    """Whether a receiver that did not take an event, because of `problem`, may have another API key."""
    return problem == NO_ANSWER or problem in {f"answered {status}" for status in _SIGNATURE_REFUSALS}


FOUND_PREFIX = "FOUND_"
"""How the ID of an event begins that the hub found by asking LiveKit. LiveKit's own begin with `EV_`."""


class Room(Struct, frozen=True):
    """The room of an event."""

    sid: str = ""
    name: str = ""


class _Permission(Struct, frozen=True):
    recorder: bool = False


class Participant(Struct, frozen=True, rename="camel"):
    """The participant of an event. `kind` is LiveKit's: STANDARD, AGENT, EGRESS and others; "" is STANDARD."""

    sid: str = ""
    identity: str = ""
    kind: str = ""
    disconnect_reason: str = ""
    permission: _Permission | None = None

    @property
    def is_counted(self) -> bool:
        """As that of room_info.Participant."""
        return is_counted(self.kind, recorder=self.permission is not None and self.permission.recorder)


class Track(Struct, frozen=True):
    """The track of an event."""

    sid: str = ""


class _RoomName(Struct, frozen=True, rename="camel"):
    room_name: str = ""


class _Job(Struct, frozen=True):
    room: Room = Room()


class WebhookEvent(Struct, frozen=True, rename="camel"):
    """An event, as far as lkhub reads it. `found`: the hub missed LiveKit's own event, and found out by asking."""

    event: str
    id: str
    room: Room = Room()
    participant: Participant = Participant()
    track: Track = Track()
    egress_info: _RoomName = _RoomName()
    ingress_info: _RoomName = _RoomName()
    job: _Job = _Job()
    found: bool = False

    @property
    def room_name(self) -> str:
        """The room that the event is about, "" for none. Events of one room have an order."""
        told = (self.room.name, self.egress_info.room_name, self.ingress_info.room_name, self.job.room.name)
        return next(filter(None, told), "")

    @property
    def is_of_a_probe(self) -> bool:
        """Whether it is about a call of lkhub's own verification."""
        return is_probe_room(self.room_name)


def sign(body: bytes, key: str, secret: Secret, now: float) -> str:
    """The value of `Authorization` for a body, as LiveKit signs it. `now` is Epoch seconds."""
    issued = int(now)
    times: dict[str, Json] = {"iat": issued, "nbf": issued, "exp": issued + VALID_SECONDS}
    return sign_claims({"iss": key, **times, "sha256": _digest(body)}, secret)


def verify_token(token: str, keys: Mapping[str, Secret], now: float) -> str:
    """The digest of the body that the token vouches for. Raises SignatureError."""
    claims = read_claims(token, keys, now, MAX_TOKEN_BYTES)
    digest = claims.get("sha256")
    if not isinstance(digest, str) or not digest:
        raise SignatureError("the token vouches for no body")
    return digest


def verify_body(body: bytes, digest: str) -> None:
    """Raise SignatureError if the digest is of another body."""
    if not hmac.compare_digest(_digest(body).encode(), digest.encode(errors="replace")):
        raise SignatureError("the token vouches for another body")


def read_event(body: bytes) -> tuple[WebhookEvent, dict[str, Json]]:
    """An event, and its JSON as it is kept and passed on: without the password of the room's TURN credentials. Raises
    ValueError."""
    data: dict[str, Json] = parse_unicode_json(body)  # what LiveKit writes, of which lkhub reads a part
    event = unpack(WebhookEvent, data)
    if not event.id or not event.event:
        raise ShapeError("an event without a name or an ID")
    if any("\0" in text for text in (event.id, event.event, event.room.sid, event.participant.sid, event.track.sid)):
        raise ShapeError("an event with U+0000, which LiveKit puts into none of these")
    for about in (data, data.get("job")):
        if isinstance(about, dict) and isinstance(room := about.get("room"), dict):
            room.pop("turnPassword", None)
            room.pop("turn_password", None)
    return event, data


def dump_event(data: Mapping[str, Json]) -> str:
    """The body of an event."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def shorten_url(url: str) -> str:
    """A receiver's URL as it may be shown: its query may have a secret. It may also be no URL at all."""
    shown, _, query = url.partition("#")[0].partition("?")
    return shown + ("?…" if query else "")


def _digest(body: bytes) -> str:
    return b64encode(hashlib.sha256(body).digest()).decode()
