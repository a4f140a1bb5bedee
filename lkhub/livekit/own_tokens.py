"""Reading the hub's own access tokens: who comes with one, and what it allows. Pure.

As for signing (tokens.py), the standard library's HMAC is enough: a library for JWT loads 18 MiB of other cryptography.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lkhub.secret import Secret
from lkhub.source.json_text import parse_finite_json

# As LiveKit (livekit/protocol, auth/verifier.go).
LEEWAY_SECONDS = 60

MAX_TOKEN_BYTES = 64 * 1024


@dataclass(frozen=True)
class OwnToken:
    """A token that one of the hub's keys has signed, and that is good now. `admin`: it may mute and remove others in
    `room`."""

    identity: str
    room: str
    admin: bool


def read_own_token(token: str, keys: Mapping[str, Secret], now: float) -> OwnToken | None:
    """None for any other text."""
    signed, _, signature = token.rpartition(".")
    if len(token) > MAX_TOKEN_BYTES or signed.count(".") != 1:
        return None
    head, claims = map(_read_part, signed.split("."))
    if head.get("alg") != "HS256":
        return None
    issuer = claims.get("iss")
    secret = keys.get(issuer) if isinstance(issuer, str) else None
    # An unknown key takes as long as a known one.
    expected = hmac.digest((secret or Secret("")).reveal().encode(), signed.encode(), hashlib.sha256)
    if not hmac.compare_digest(expected, _decode(signature)) or secret is None:
        return None
    ends, begins, grant = claims.get("exp"), claims.get("nbf", 0), claims.get("video")
    if not isinstance(ends, int | float) or not isinstance(begins, int | float) or not isinstance(grant, dict):
        return None
    if not begins - LEEWAY_SECONDS <= now < ends:
        return None
    identity, room = claims.get("sub"), grant.get("room")
    if not isinstance(identity, str) or not isinstance(room, str) or grant.get("roomJoin") is not True:
        return None
    return OwnToken(identity, room, grant.get("roomAdmin") is True)


def _read_part(part: str) -> dict[str, Any]:  # claims are LiveKit's
    try:
        read = parse_finite_json(_decode(part))
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _decode(part: str) -> bytes:
    """base64url without padding; nothing for what is not."""
    try:
        return urlsafe_b64decode(part.encode("ascii") + b"=" * (-len(part) % 4))
    except ValueError:
        return b""
