"""Reading the hub's own access tokens: who comes with one, and what it allows. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from lkhub.livekit.claims import SignatureError, read_claims
from lkhub.secret import Secret

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
    try:
        claims = read_claims(token, keys, now, MAX_TOKEN_BYTES)
    except SignatureError:
        return None
    identity, grant = claims.get("sub"), claims.get("video")
    if not isinstance(identity, str) or not isinstance(grant, dict) or grant.get("roomJoin") is not True:
        return None
    room = grant.get("room")
    return OwnToken(identity, room, grant.get("roomAdmin") is True) if isinstance(room, str) else None
