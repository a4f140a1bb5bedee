"""Issuing a token: what a caller wants, judged by its role, its rooms and the room's preset."""

import re
import secrets
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace
from starlette.requests import Request

from lkhub.livekit.room_config import RoomConfig
from lkhub.livekit.tokens import PROBE_ROOM_PREFIX, Grant, is_probe_room, sign
from lkhub.secret import Secret
from lkhub.service.access.caller import Caller, Kind
from lkhub.service.errors import ApiError
from lkhub.service.presets import Location, Presets, match_globs, room_config
from lkhub.service.roles import Roles, grant_role
from lkhub.source.json_text import Json
from lkhub.wire.application import Application, Role, RoomPreset

# A random identity: long enough that two people never get the same identity, which would end the first one's call.
IDENTITY_BYTES = 8

_GLOB = re.compile(r"[*?\[]")


class Wanted(Struct, frozen=True):
    """What a caller asks for. "" is a field that is not given; without `room` the caller gets one. People who come with
    the same `party` are kept together, where a room has sub-rooms. `room_config` is of LiveKit's TokenSource."""

    room: str
    identity: str = ""
    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = {}
    role: str = ""
    party: str = ""
    room_config: RoomConfig | None = None


class Issued(Struct, frozen=True):
    """A token, and for which room and identity. `expires` is in Epoch seconds."""

    token: str
    room: str
    identity: str
    expires: int


class Judged(Struct, frozen=True):
    """A request that is allowed. `room` is the one asked for, `family` the name by which presets and globs know it."""

    role_name: str
    role: Role
    room: str
    family: str
    preset: RoomPreset | None
    identity: str
    typed: bool
    """Whether a stranger chose the identity."""

    @property
    def seated(self) -> bool:
        """Whether it takes a seat. LiveKit counts no recorder."""
        return self.preset is not None and self.preset.capacity is not None and not self.role.recorder


class Wish(NamedTuple):
    """A seat that is asked for, in `room` or in a sub-room of its family. `caller` is as in `issued.caller`."""

    room: str
    identity: str
    caller: str
    party: str


class Reserved(NamedTuple):
    """A seat, in the room or in one of its sub-rooms."""

    room: str


class Full(NamedTuple):
    """No seat; after `retry_after` seconds there may be one."""

    retry_after: int


class Book(Protocol):
    """What is kept about the tokens that were issued. Its methods raise ApiError."""

    def admit(self, caller: Caller, judged: Judged, request: Request) -> None:
        """Refuse what comes too often."""

    async def write(self, caller: Caller, judged: Judged, party: str, expires: int, request: Request) -> str:
        """Reserve a seat where the room has a capacity, and note the token before it is given away. Returns the
        room. Refuses a stranger's identity that looks like one that is taken."""


class Issuer:
    """Issues the tokens of one hub. `keys` returns the name and the secret of the current API key. Without `book` no
    room has a capacity, and nothing is noted."""

    def __init__(
        self,
        application: Application,
        keys: Callable[[], tuple[str, Secret]],
        book: Book | None = None,
    ) -> None:
        self._roles = Roles(application.access)
        self._presets = Presets(application.rooms)
        self._operator = application.access.create == "operator"
        self._keys, self._book = keys, book
        self._find_location = lru_cache(maxsize=1024)(self._locate)

    async def issue(self, caller: Caller, wanted: Wanted, request: Request) -> Issued:
        """A token for what `caller` wants. Raises ApiError where it is not allowed or not possible."""
        judged = self._judge(caller, wanted)
        now = int(time.time())
        room, expires = judged.room, now + judged.role.ttl
        if self._book:
            self._book.admit(caller, judged, request)
            room = await self._book.write(caller, judged, wanted.party, expires, request)
        grant = Grant(
            identity=judged.identity,
            video=grant_role(judged.role, room, opens=self._operator),
            name=wanted.name or caller.name or judged.identity,
            metadata=wanted.metadata,
            attributes=wanted.attributes,
            room_config=_configure(judged.preset, wanted.room_config),
            ttl_seconds=judged.role.ttl,
        )
        return Issued(sign(grant, *self._keys(), now), room, judged.identity, expires)

    def _judge(self, caller: Caller, wanted: Wanted) -> Judged:
        name, role = self._roles.choose(caller.roles, wanted.role)
        room = wanted.room or _choose_room(caller.rooms, role.rooms)
        location = self._find_location(caller.kind, caller.rooms, name, room)
        _check_size(wanted, name, role)
        if wanted.room_config:
            _check_config(wanted.room_config, name, role)
        if caller.identity and wanted.identity not in ("", caller.identity):
            raise ApiError(403, f"{_CALLERS[caller.kind]} has an identity of its own", "leave identity out")
        identity = wanted.identity or caller.identity or f"guest-{secrets.token_hex(IDENTITY_BYTES)}"
        typed = bool(wanted.identity) and not caller.vouches and not caller.identity
        return Judged(name, role, room, location.family, location.preset, identity, typed)

    def _locate(self, kind: Kind, rooms: tuple[str, ...], name: str, room: str) -> Location:
        """A room that a caller may enter in a role. `kind` and `rooms` are the caller's."""
        if is_probe_room(room):
            # No list shows such a room, no webhook tells of it, and its participants have no seats.
            problem = f"room: names with {PROBE_ROOM_PREFIX} are for the hub's own calls"
            raise ApiError(422, problem, "name another room")
        location = self._presets.locate(room)
        family, preset = location.family, location.preset
        if not match_globs(rooms)(family):
            raise ApiError(403, f"{_CALLERS[kind]} does not lead into this room")
        if not self._roles.leads_into(name, family):
            raise ApiError(403, f"role {name} does not lead into this room")
        if preset and not location.is_for(name):
            raise ApiError(403, f"this room is not for role {name}", f"it is for {', '.join(preset.roles)}")
        return location


def _configure(preset: RoomPreset | None, wanted: RoomConfig | None) -> Mapping[str, Json]:
    """The settings of the room, if the join opens it: the preset's, and the agents that the caller wants too."""
    if preset is None and wanted is None:
        return {}
    config = room_config(preset) if preset else RoomConfig()
    return (replace(config, agents=(*config.agents, *wanted.agents)) if wanted else config).as_claim()


_CALLERS = {"api-key": "this API key", "invite": "this invite", "oidc": "your account", "open": "mode open"}


def _choose_room(*scopes: tuple[str, ...]) -> str:
    """A room for a caller that names none: the only one that it may enter, else a new one."""
    for globs in scopes:
        if len(globs) == 1 and not _GLOB.search(globs[0]):
            return globs[0]
    room = f"room-{secrets.token_hex(IDENTITY_BYTES)}"
    if not all(match_globs(globs)(room) for globs in scopes):
        raise ApiError(422, "no room is named, and not every room may be entered", "name a room")
    return room


def _check_size(wanted: Wanted, name: str, role: Role) -> None:
    if not wanted.metadata and not wanted.attributes:
        return
    texts = (wanted.metadata, *wanted.attributes, *wanted.attributes.values())
    size = sum(len(text.encode()) for text in texts)
    if size > role.metadata:
        problem = f"metadata and attributes have {size:,} bytes together, and role {name} allows {role.metadata:,}"
        raise ApiError(422, problem)


def _check_config(config: RoomConfig, name: str, role: Role) -> None:
    """A caller may have agents dispatched that its role allows; how a room is, the spec decides."""
    if config != RoomConfig(name=config.name, agents=config.agents):
        raise ApiError(403, "room_config may name agents alone", "`rooms` of the spec has the settings of rooms")
    may = match_globs(role.agents)
    if any(not may(agent.agent_name) for agent in config.agents):
        raise ApiError(403, f"role {name} does not allow an agent of room_config", "access.roles.NAME.agents allows it")
