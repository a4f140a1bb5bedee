"""Tokens and join links for the hub, by the spec that is in force."""

import secrets
import time

from lkhub.errors import MachineError
from lkhub.host.keyfile import load_keys
from lkhub.hub.applied import require_applied
from lkhub.hub.recording import recording
from lkhub.livekit.links import LINK_TTL_SECONDS, join_link
from lkhub.livekit.tokens import Grant, join_grant, sign
from lkhub.plan.paths import StatePaths
from lkhub.state.baked import BakedToken, add_baked, read_baked, write_baked


def make_token(paths: StatePaths, grant: Grant, now: float) -> str:
    """A token, signed with the current key. MachineError before the first `up`."""
    return _sign(paths, grant, now)[0]


def bake_token(
    paths: StatePaths, variable: str, room: str, role: str, grant: Grant, now: float, file: str
) -> tuple[str, MachineError | None]:
    """As `make_token`, for a variable in `file` ("" if it is not known). Such a token may be built into a web site, so
    it is noted, with its role: `lkhub keys revoke` can say that it ends. Returns with it what kept it from being
    noted."""
    token, key = _sign(paths, grant, now)
    try:
        with recording(paths):
            baked = BakedToken(variable, room, grant.identity, key, now + grant.ttl_seconds, file, role)
            write_baked(paths, add_baked(read_baked(paths, now), baked))
    except MachineError as error:
        return token, error
    return token, None


def _sign(paths: StatePaths, grant: Grant, now: float) -> tuple[str, str]:
    """A token, and the ID of the key that signed it."""
    require_applied(paths)
    key, secret = next(iter(load_keys(paths.keys).items()))
    return sign(grant, key, secret, now), key


def make_link(
    paths: StatePaths, room: str, identity: str | None = None, name: str = "", ttl_seconds: int = LINK_TTL_SECONDS
) -> str:
    """A join link with its own token. Without `identity` the participant gets an identity that no other link has."""
    who = identity or f"guest-{secrets.token_hex(4)}"
    token = make_token(paths, Grant(who, join_grant(room), name=name, ttl_seconds=ttl_seconds), time.time())
    return join_link(require_applied(paths).urls.web, room, token)
