"""Every address of the JSON API: what it takes, what it answers with, and why it refuses. Pure.

The OpenAPI document and the reference are made from it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lkhub.service import reasons
from lkhub.service.models import (
    Answer,
    Health,
    Hub,
    InviteMade,
    InviteRequest,
    RedeemRequest,
    RequestInfo,
    SessionState,
    SignIn,
    SignInRequest,
    TokenGrant,
    TokenRequest,
    TokenSourceGrant,
    TokenSourceRequest,
)
from lkhub.service.reasons import Refusal
from lkhub.source.json_text import Json
from lkhub.wire.application import LIVEKIT_WEBHOOKS
from lkhub.wire.request_info import REQUEST_INFO
from lkhub.wire.serve_config import ServeConfig

A = TypeVar("A", bound=Answer)
Way: TypeAlias = Literal["anyone", "open", "api-key", "openid", "session", "join-token", "livekit"]
"""How a caller proves itself. `anyone`: by nothing, on any hub; `open`: by nothing, on a hub with this mode."""


class Answered(Response, Generic[A]):
    """A response whose body is a model."""

    media_type = "application/json"

    def __init__(self, answer: A, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        # As Starlette does it, for a body and headers whose form is known: that takes a third of the time.
        self.status_code, self.background, self.body = status, None, answer.as_json()
        self.raw_headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", b"application/json"),
            *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()),
        ]


def _always(_: ServeConfig) -> bool:
    return True


@dataclass(frozen=True, eq=False, kw_only=True)
class Address:
    """What is known of every address. `name` is for generated clients, `summary` is one sentence. `ways` are all by
    which a caller may prove itself; a hub has some of them. `served` says whether the address is of use on a hub."""

    method: str
    path: str
    name: str
    summary: str
    ways: tuple[Way, ...] = ("anyone",)
    refusals: tuple[Refusal, ...] = ()
    headers: tuple[str, ...] = ()
    """Those of every success that a caller may need."""
    statuses: tuple[int, ...] = (200,)
    """All that come with an answer which is no refusal."""
    served: Callable[[ServeConfig], bool] = _always


@dataclass(frozen=True, eq=False, kw_only=True)
class Endpoint(Address, Generic[A]):
    """An address with models. `takes` is the model of the body; without one, GET has no body, and POST takes any
    JSON."""

    takes: type[BaseModel] | None = None
    answers: type[A]

    def route(self, handler: Callable[[Request], Awaitable[Answered[A]]]) -> Route:
        """The route to a handler, which answers with the model that is named here."""
        return Route(self.path, handler, methods=[self.method])


class Content(NamedTuple):
    """A body that has no model in models.py."""

    media_type: str
    meaning: str
    schema: Mapping[str, Json]


@dataclass(frozen=True, eq=False, kw_only=True)
class OtherAddress(Address):
    """An address whose bodies are not of models. `parameters` are headers: name, pattern, meaning."""

    takes: Content | None = None
    answers: Content | None = None
    parameters: tuple[tuple[str, str, str], ...] = ()

    def route(self, handler: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(self.path, handler, methods=[self.method])


def _gives_tokens(config: ServeConfig) -> bool:
    return config.open_tokens or bool(config.application.access.modes)


def _has_accounts(config: ServeConfig) -> bool:
    return config.application.access.oidc is not None


def _keeps(config: ServeConfig) -> bool:
    return config.application.used


def _has_api_keys(config: ServeConfig) -> bool:
    return config.application.used and "api-keys" in config.application.access.modes


_NOT_KEPT = ("Cache-Control",)
_CALLERS: tuple[Way, ...] = ("open", "api-key", "openid", "session")

HUB = Endpoint(
    method="GET",
    path="/api/hub",
    name="getHub",
    summary="What a page must know of its hub.",
    answers=Hub,
)
HEALTH = Endpoint(
    method="GET",
    path="/api/health",
    name="getHealth",
    summary="Whether media answers.",
    answers=Health,
    statuses=(200, 503),
)
INFO = Endpoint(
    method="GET",
    path=REQUEST_INFO,
    name="getRequestInfo",
    summary="How this request came to the hub.",
    answers=RequestInfo,
    headers=_NOT_KEPT,
)
TOKEN = Endpoint(
    method="POST",
    path="/api/livekit/token",
    name="createToken",
    summary="A token for one room, with what the caller's role allows.",
    takes=TokenRequest,
    answers=TokenGrant,
    ways=_CALLERS,
    refusals=reasons.TOKEN,
    headers=_NOT_KEPT,
    served=_gives_tokens,
)
TOKEN_SOURCE = Endpoint(
    method="POST",
    path="/api/token-source",
    name="createTokenForTokenSource",
    summary="The same, in the form of LiveKit's TokenSource.",
    takes=TokenSourceRequest,
    answers=TokenSourceGrant,
    ways=_CALLERS,
    refusals=reasons.TOKEN,
    headers=_NOT_KEPT,
    statuses=(201,),
    served=_gives_tokens,
)
SESSION = Endpoint(
    method="GET",
    path="/api/session",
    name="getSession",
    summary="Whether this browser is signed in.",
    answers=SessionState,
    ways=("anyone", "session"),
    refusals=(reasons.STORE,),
    headers=_NOT_KEPT,
    served=_has_accounts,
)
SIGN_IN = Endpoint(
    method="POST",
    path="/api/sign-in",
    name="signIn",
    summary="Begins to sign in a person at the OpenID provider.",
    takes=SignInRequest,
    answers=SignIn,
    refusals=(
        *(*reasons.JSON_BODY, reasons.FIELDS, reasons.FOREIGN_PAGE, reasons.NOT_PRIVATE),
        *(reasons.NO_ACCOUNTS, reasons.SIGN_INS, reasons.UNAVAILABLE),
    ),
    headers=(*_NOT_KEPT, "Set-Cookie"),
    served=_has_accounts,
)
SIGN_OUT = Endpoint(
    method="POST",
    path="/api/sign-out",
    name="signOut",
    summary="Ends the session of this browser.",
    answers=SessionState,
    ways=("anyone", "session"),
    refusals=(reasons.WRONG_TYPE, reasons.FOREIGN_PAGE, reasons.STORE),
    headers=_NOT_KEPT,
    served=_has_accounts,
)
REDEEM = Endpoint(
    method="POST",
    path="/api/invites/redeem",
    name="redeemInvite",
    summary="A token for a person who has an invite.",
    takes=RedeemRequest,
    answers=TokenGrant,
    refusals=(
        *(*reasons.JSON_BODY, reasons.FIELDS, reasons.FOREIGN_PAGE, *reasons.INVITE_ENDED),
        *(reasons.INVITE_LEADS_NOWHERE, reasons.INVITE_UNKNOWN, reasons.FULL),
        *(reasons.LIMIT, reasons.WRONG_INVITES, reasons.STORE, reasons.KEYS),
    ),
    headers=_NOT_KEPT,
)
INVITE = Endpoint(
    method="POST",
    path="/api/invites",
    name="createInvite",
    summary="Makes an invite into a room, for a caller that may let others in.",
    takes=InviteRequest,
    answers=InviteMade,
    ways=("join-token", "api-key", "openid", "session"),
    refusals=(
        *(*reasons.JSON_BODY, reasons.FIELDS, reasons.UNLISTED_PAGE, reasons.NO_CREDENTIAL, reasons.NO_HOST),
        *(reasons.NO_SUCH_ROLE, reasons.INVITES, reasons.WRONG_CREDENTIALS, reasons.UNAVAILABLE, reasons.KEYS),
    ),
    headers=_NOT_KEPT,
    statuses=(201,),
    served=_keeps,
)

# As far as the hub reads it (lkhub/livekit/webhooks.py).
_NAMED: Mapping[str, Json] = {"type": "object", "properties": {"sid": {"type": "string"}, "name": {"type": "string"}}}
_EVENT: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "event": {"type": "string", "minLength": 1},
        "id": {"type": "string", "minLength": 1},
        "room": _NAMED,
        "participant": {"type": "object"},
        "track": {"type": "object"},
    },
    "required": ["event", "id"],
}

EVENTS = OtherAddress(
    method="GET",
    path="/api/events",
    name="listenToEvents",
    summary="The events of the rooms that an API key may enter, as they come, without an end.",
    answers=Content(
        "text/event-stream",
        "Server-sent events, each of which is an object here. `id` is the place in the stream, `event` the name of "
        "LiveKit's event, and `data` the JSON of a webhook. An event `lost` comes first where the hub no longer has "
        "the place that was asked for.",
        {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
            "required": ["event", "data"],
        },
    ),
    parameters=(
        (
            "Last-Event-ID",
            "^[0-9]{1,18}$",
            "The last `id` that came, to go on from there; `0` is the oldest event that is kept. Without it the "
            "stream begins now.",
        ),
    ),
    ways=("api-key",),
    refusals=(
        *(reasons.NO_PLACE, reasons.NO_CREDENTIAL, reasons.NO_API_KEY, reasons.WRONG_CREDENTIALS),
        *(reasons.UNAVAILABLE, reasons.STREAMS_OF_KEY, reasons.STREAMS),
    ),
    headers=_NOT_KEPT,
    served=_has_api_keys,
)
WEBHOOK = OtherAddress(
    method="POST",
    path=LIVEKIT_WEBHOOKS,
    name="receiveWebhook",
    summary="Takes a webhook of the hub's own media, and stores it.",
    takes=Content("application/webhook+json", "LiveKit's WebhookEvent.", _EVENT),
    ways=("livekit",),
    refusals=(reasons.NO_EVENT, reasons.NOT_SIGNED, reasons.EVENT_TOO_LARGE, reasons.STORE, reasons.KEYS),
    served=_keeps,
)
DOCUMENT = OtherAddress(
    method="GET",
    path="/api/openapi.json",
    name="getDocument",
    summary="This document.",
    answers=Content("application/json", "OpenAPI 3.1, of the addresses that this hub serves.", {"type": "object"}),
)

ENDPOINTS: tuple[
    Endpoint[Hub]
    | Endpoint[Health]
    | Endpoint[RequestInfo]
    | Endpoint[TokenGrant]
    | Endpoint[TokenSourceGrant]
    | Endpoint[SessionState]
    | Endpoint[SignIn]
    | Endpoint[InviteMade],
    ...,
] = (HUB, HEALTH, INFO, TOKEN, TOKEN_SOURCE, SESSION, SIGN_IN, SIGN_OUT, REDEEM, INVITE)
"""Those with models, whose types the front end has."""

ADDRESSES = (*ENDPOINTS, EVENTS, WEBHOOK, DOCUMENT)
"""Every address. Each refuses with WRONG_HOST too."""
