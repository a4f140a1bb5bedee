"""What the service is asked for and what it answers, as JSON. Pure.

The types of the front end are made from these models (scripts/web-types), so a name or a type is written here alone.
The docstring of a model is its comment there.
"""

from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from lkhub.livekit.tokens import MAX_NAME_BYTES, count_bytes, find_unseen
from lkhub.wire import request_info

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class Answer:
    """The base of every answer. A field that has its default is left out.

    Answers are dataclasses, and not models of pydantic: the service does not read them, and validators for them would
    cost it 0.4 MiB for as long as it runs.
    """

    __pydantic_config__ = _STRICT

    def as_json(self) -> bytes:
        """The body of the response."""
        kind: Any = type(self)
        return msgspec.json.encode(self if _is_plain(kind) else _pack(self))


def _pack(answer: Answer) -> dict[str, object]:
    said = ((name, getattr(answer, name), default) for name, default in _list_fields(type(answer)))
    return {
        name: _pack(value) if isinstance(value, Answer) else value for name, value, default in said if value != default
    }


def _list_fields(kind: type[Answer]) -> tuple[tuple[str, object], ...]:
    """The names of the fields, with their defaults."""
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple((field.name, field.default) for field in fields(kind))
    return _FIELDS[kind]


_FIELDS: dict[type[Answer], tuple[tuple[str, object], ...]] = {}


@cache
def _is_plain(kind: Any) -> bool:
    """Whether all fields are always there, and none is an answer itself."""
    return all(field.default is MISSING and field.type in (str, int, bool) for field in fields(kind))


@dataclass(frozen=True)
class Hub(Answer):
    """What a page must know of its hub. `livekit_url` is at the name by which the page was asked for. `tokens`: with
    `open`, the page gets its token from the token endpoint; with `link`, from the join link that opened it, or with
    `sign_in` from the token endpoint once the person has signed in."""

    name: str
    version: str
    livekit_url: str
    reach: Literal["local", "lan", "public"]
    tokens: Literal["open", "link"]
    sign_in: bool = False


@dataclass(frozen=True)
class Health(Answer):
    """Whether media answers: `ok` comes with status 200, `unavailable` with 503."""

    status: Literal["ok", "unavailable"]


@dataclass(frozen=True)
class RequestInfo(Answer, request_info.RequestInfo):
    # The front end's types show it too.
    __doc__ = request_info.RequestInfo.__doc__


def _require_name(text: str) -> str:
    if count_bytes(text) > MAX_NAME_BYTES:
        raise PydanticCustomError("too_long", "has more than {limit} bytes", {"limit": MAX_NAME_BYTES})
    if unseen := find_unseen(text):
        raise PydanticCustomError("unseen", "has {unseen}, which can't be seen", {"unseen": unseen})
    return text


Name = Annotated[str, Field(max_length=MAX_NAME_BYTES), AfterValidator(_require_name)]


class TokenRequest(BaseModel):
    """A request for a token of one room. Without `identity` the hub makes a new one for each request. Without `role`
    the caller gets its default role. People who come with the same `party` get seats in the same sub-room, if there is
    space."""

    model_config = _STRICT

    room: Annotated[Name, Field(min_length=1)]
    identity: Annotated[Name, Field(min_length=1)] | None = None
    name: Name = ""
    metadata: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)
    role: str | None = None
    party: Name = ""


@dataclass(frozen=True)
class TokenGrant(Answer):
    """A token, and where to use it. `room` is the sub-room where the room that was asked for has any. `expires_at` is
    in seconds since 1970."""

    token: str
    url: str
    room: str
    identity: str
    expires_at: int


def _either(name: str) -> Any:
    """A field of LiveKit's, in its two spellings."""
    first, *rest = name.split("_")
    camel = first + "".join(word.capitalize() for word in rest)
    return Field(default=None, validation_alias=AliasChoices(name, camel))


class TokenSourceRequest(BaseModel):
    """A request of LiveKit's TokenSource. Each field may be left out or null; without `room_name` the hub makes a room,
    unless the caller has one room alone. `room_config` is LiveKit's RoomConfiguration, of which a role may allow
    agents."""

    model_config = _STRICT

    room_name: Name | None = _either("room_name")
    participant_name: Name | None = _either("participant_name")
    participant_identity: Name | None = _either("participant_identity")
    participant_metadata: str | None = _either("participant_metadata")
    participant_attributes: dict[str, str] | None = _either("participant_attributes")
    room_config: dict[str, Any] | None = _either("room_config")  # its reader is lkhub/livekit/room_config.py


@dataclass(frozen=True)
class TokenSourceGrant(Answer):
    """A token, as LiveKit's TokenSource takes it. The answer has status 201."""

    server_url: str
    participant_token: str


@dataclass(frozen=True)
class SessionState(Answer):
    """Whether this browser is signed in, and under which name; "" where the provider says none."""

    signed_in: bool
    name: str = ""


class SignInRequest(BaseModel):
    """Begin to sign in. `path` is the page of a room, to which the browser is led in the end."""

    model_config = _STRICT

    path: str


@dataclass(frozen=True)
class SignIn(Answer):
    """The page of the OpenID provider that signs the person in."""

    url: str


class RedeemRequest(BaseModel):
    """Take an invite. `secret` and `room` are the link's: `/join/ROOM#i=SECRET`. `tab` is a random text of at least 16
    characters that the caller keeps: with the same one it is the same participant, and no other use of the invite."""

    model_config = _STRICT

    secret: Annotated[str, Field(min_length=1, max_length=64)]
    room: Annotated[Name, Field(min_length=1)]
    tab: Annotated[str, Field(min_length=16, max_length=64)]
    name: Name = ""


class InviteRequest(BaseModel):
    """Make an invite into a room. It lets in any number of people, or `uses`, for `ttl` seconds, a day by default."""

    model_config = _STRICT

    room: Annotated[Name, Field(min_length=1)]
    role: str | None = None
    uses: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    ttl: Annotated[int, Field(ge=1, le=365 * 86400)] | None = None


@dataclass(frozen=True)
class InviteMade(Answer):
    """An invite, and the link that takes it. `expires_at` is in seconds since 1970."""

    id: str
    link: str
    room: str
    role: str
    uses: int | None
    expires_at: int


@dataclass(frozen=True)
class ErrorDetail(Answer):
    """Why the hub did not do what it was asked for. `hint` says what to do about it."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class ErrorAnswer(Answer):
    """What any address answers with when it refuses a request or fails at it."""

    error: ErrorDetail
