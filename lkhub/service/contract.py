"""Every address of the JSON API, with the model that it takes and the one that it answers with. Pure."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

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
from lkhub.wire.request_info import REQUEST_INFO

A = TypeVar("A", bound=Answer)


class Answered(Response, Generic[A]):
    """A response whose body is a model."""

    media_type = "application/json"

    def __init__(self, answer: A, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(answer.as_json(), status, headers)


@dataclass(frozen=True)
class Endpoint(Generic[A]):
    """One address. `takes` is the model of the body, None where there is no body."""

    method: str
    path: str
    takes: type[BaseModel] | None
    answers: type[A]

    def route(self, handler: Callable[[Request], Awaitable[Answered[A]]]) -> Route:
        """The route to a handler, which answers with the model that is named here."""
        return Route(self.path, handler, methods=[self.method])


HUB = Endpoint("GET", "/api/hub", None, Hub)
HEALTH = Endpoint("GET", "/api/health", None, Health)
INFO = Endpoint("GET", REQUEST_INFO, None, RequestInfo)
TOKEN = Endpoint("POST", "/api/livekit/token", TokenRequest, TokenGrant)

TOKEN_SOURCE = Endpoint("POST", "/api/token-source", TokenSourceRequest, TokenSourceGrant)

SESSION = Endpoint("GET", "/api/session", None, SessionState)
SIGN_IN = Endpoint("POST", "/api/sign-in", SignInRequest, SignIn)
SIGN_OUT = Endpoint("POST", "/api/sign-out", None, SessionState)
REDEEM = Endpoint("POST", "/api/invites/redeem", RedeemRequest, TokenGrant)
INVITE = Endpoint("POST", "/api/invites", InviteRequest, InviteMade)

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
