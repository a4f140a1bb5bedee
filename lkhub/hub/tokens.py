"""Tokens and join links for the hub, by the spec that is in force."""

import secrets
import time

from lkhub.host.keyfile import load_keys
from lkhub.hub.applied import require_applied
from lkhub.livekit.links import LINK_TTL_SECONDS, join_link
from lkhub.livekit.tokens import Grant, join_grant, sign
from lkhub.plan.paths import StatePaths


def make_token(paths: StatePaths, room: str, identity: str, name: str, ttl_seconds: int, now: float) -> str:
    """A token for one participant of one room, signed with the current key. MachineError before the first `up`."""
    require_applied(paths)
    key, secret = next(iter(load_keys(paths.keys).items()))
    return sign(Grant(identity, join_grant(room), name=name, ttl_seconds=ttl_seconds), key, secret, now)


def make_link(
    paths: StatePaths, room: str, identity: str | None = None, name: str = "", ttl_seconds: int = LINK_TTL_SECONDS
) -> str:
    """A join link with its own token. Without `identity` the participant gets an identity that no other link has."""
    token = make_token(paths, room, identity or f"guest-{secrets.token_hex(4)}", name, ttl_seconds, time.time())
    return join_link(require_applied(paths).urls.web, room, token)
