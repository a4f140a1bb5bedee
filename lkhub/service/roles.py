"""The roles of a hub, and what LiveKit is told of each. Pure."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from lkhub.livekit.tokens import DEFAULT_TTL_SECONDS
from lkhub.service.errors import ApiError
from lkhub.service.presets import match_globs
from lkhub.source.json_text import Json
from lkhub.wire.application import Access, Role

SOURCES = frozenset(("camera", "microphone", "screen_share", "screen_share_audio"))

# For a hub whose configuration names no roles.
PLAIN_NAME = "participant"
PLAIN = Role(
    publish=tuple(sorted(SOURCES)),
    subscribe=True,
    data=True,
    hidden=False,
    recorder=False,
    admin=False,
    create=False,
    own_metadata=False,
    metadata=64 * 1024,
    rooms=("*",),
    agents=(),
    ttl=DEFAULT_TTL_SECONDS,
)


class Roles:
    """The roles by name, and the one that a caller has who asks for none."""

    def __init__(self, access: Access) -> None:
        self._roles = access.roles or {PLAIN_NAME: PLAIN}
        self._default = access.default_role if access.default_role in self._roles else PLAIN_NAME

    @property
    def default(self) -> str:
        return self._default

    def lifetime(self, name: str) -> float:
        """How long a token of this role can be used, in seconds; 0 for a role that there is no more."""
        return float(self._roles[name].ttl) if name in self._roles else 0.0

    def leads_into(self, name: str, family: str) -> bool:
        """Whether the role leads into the rooms of a family."""
        return name in self._roles and match_globs(self._roles[name].rooms)(family)

    def is_admin(self, name: str, family: str) -> bool:
        """Whether who has the role may mute and remove others there."""
        return self.leads_into(name, family) and self._roles[name].admin

    def choose(self, allowed: Sequence[str], wanted: str) -> tuple[str, Role]:
        """The role that a caller gets. `allowed` is as in Caller. Raises ApiError."""
        may = [name for name in allowed if name in self._roles] if allowed else [self._default]
        if not may:
            raise ApiError(403, "none of your roles exists on this hub any more")
        if wanted and wanted not in self._roles:
            raise ApiError(422, "role: there is no such role on this hub")
        name = wanted or (self._default if self._default in may else may[0])
        if name not in may:
            raise ApiError(403, f"you may not ask for role {name}", f"you may ask for {', '.join(may)}")
        return name, self._roles[name]


def grant_role(role: Role, room: str, *, opens: bool) -> dict[str, Json]:
    """LiveKit's grant for a role in one room (livekit/protocol, auth/grants.go). `opens`: rooms exist only once they
    were opened, so that a role with `create` needs the grant for it."""
    if not room:
        raise ValueError("a grant without a room opens every room")
    return {"room": room, **_grant(role, opens)}


@lru_cache(maxsize=64)
def _grant(role: Role, opens: bool) -> Mapping[str, Json]:
    """What a grant says besides the room."""
    grant: dict[str, Json] = {
        "roomJoin": True,
        "canPublish": bool(role.publish),
        "canSubscribe": role.subscribe,
        "canPublishData": role.data,
    }
    if role.publish and SOURCES - set(role.publish):
        # Where sources are listed, tracks of an unknown source are refused, which an SDK may publish.
        grant["canPublishSources"] = list(role.publish)
    further = {
        "hidden": role.hidden,
        "recorder": role.recorder,
        "roomAdmin": role.admin,
        "canUpdateOwnMetadata": role.own_metadata,
        "roomCreate": role.create and opens,
    }
    return grant | {name: True for name, given in further.items() if given}
