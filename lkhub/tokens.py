"""Access tokens: grants → signed JWT. Pure.

The claims are LiveKit's (livekit/protocol, auth/grants.go): HS256, `iss` the API key, `sub` the identity.
"""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from lkhub.spec.secret import Secret

# LiveKit allows a minute of clock difference on nbf (livekit/protocol, auth/verifier.go); a token made
# on a machine whose clock is ahead by less than that must still be good at once.
NOT_BEFORE_LEEWAY_SECONDS = 10

DEFAULT_TTL_SECONDS = 6 * 3600

# LiveKit's own limit for names of rooms and participants (limit.max_room_name_length and its neighbours).
MAX_NAME = 256

# Rooms of lkhub's own verification: who is in there is a probe, not a person.
PROBE_ROOM_PREFIX = "lkhub-verify-"


@dataclass(frozen=True)
class Grant:
    """What a token allows. `video` is LiveKit's grant as JSON; `room_config` as protobuf's JSON."""

    identity: str
    video: Mapping[str, Any]
    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    room_config: Mapping[str, Any] = field(default_factory=dict)
    ttl_seconds: int = DEFAULT_TTL_SECONDS


def join_grant(room: str) -> dict[str, Any]:
    """The video grant of a plain participant of `room`: may publish and subscribe, administers nothing."""
    if not room:
        raise ValueError("a grant without a room opens every room")
    return {"roomJoin": True, "room": room, "canPublish": True, "canSubscribe": True, "canPublishData": True}


def sign(grant: Grant, key: str, secret: Secret, now: float | None = None) -> str:
    """The JWT of a grant. `now` is seconds since the epoch."""
    issued = int(time.time() if now is None else now)
    claims: dict[str, Any] = {
        "iss": key,
        "sub": grant.identity,
        "nbf": issued - NOT_BEFORE_LEEWAY_SECONDS,
        "exp": issued + grant.ttl_seconds,
        "video": dict(grant.video),
    }
    optional = {
        "name": grant.name,
        "metadata": grant.metadata,
        "attributes": dict(grant.attributes),
        "roomConfig": dict(grant.room_config),
    }
    claims |= {claim: value for claim, value in optional.items() if value}
    with warnings.catch_warnings():
        # A foreign server may have a short secret (`livekit-server --dev`: "secret"). The hub judges its own elsewhere.
        warnings.simplefilter("ignore", UserWarning)
        return jwt.encode(claims, secret.reveal(), algorithm="HS256")
