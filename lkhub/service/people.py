"""How people get in who have no join link: they sign in, or take an invite."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lkhub.service.bodies import Bodies
from lkhub.service.contract import Answered
from lkhub.service.desk import Desk
from lkhub.service.errors import ApiError
from lkhub.service.guard import require_known_page
from lkhub.service.models import (
    InviteMade,
    InviteRequest,
    RedeemRequest,
    SessionState,
    SignIn,
    SignInRequest,
    TokenGrant,
)
from lkhub.service.oidc.callback import CALLBACK
from lkhub.service.own_origin import find_livekit
from lkhub.wire.serve_config import ServeConfig

_NOT_KEPT = {"cache-control": "no-store"}


class People:
    """The handlers of one hub."""

    def __init__(self, config: ServeConfig, desk: Desk, bodies: Bodies) -> None:
        self._bodies = bodies
        self._config, self._signing_in, self._find_invites = config, desk.signing_in, desk.find_invites

    def routes(self) -> list[Route]:
        """What is no JSON."""
        return [Route(CALLBACK, self.callback, methods=["GET"])]

    async def callback(self, request: Request) -> Response:
        """The end of a sign-in, to which the OpenID provider leads."""
        if self._signing_in is None:
            raise _no_accounts()
        return await self._signing_in.end(request)

    async def session(self, request: Request) -> Answered[SessionState]:
        """Whether this browser is signed in."""
        session = await self._signing_in.find_session(request) if self._signing_in else None
        state = SessionState(signed_in=session is not None, name=session.name if session else "")
        return Answered(state, headers=_NOT_KEPT)

    async def sign_in(self, request: Request) -> Answered[SignIn]:
        """Begin to sign in."""
        require_known_page(request.headers, ())
        given = await self._bodies.read(request, SignInRequest, 'send {"path": "/join/NAME"}')
        if self._signing_in is None:
            raise _no_accounts()
        url, set_cookie = await self._signing_in.begin(request, given.path)
        answer = Answered(SignIn(url), headers=_NOT_KEPT)
        set_cookie(answer)
        return answer

    async def sign_out(self, request: Request) -> Answered[SessionState]:
        """End the session of this browser."""
        require_known_page(request.headers, ())
        answer = Answered(SessionState(signed_in=False), headers=_NOT_KEPT)
        if self._signing_in:
            (await self._signing_in.sign_out(request))(answer)
        return answer

    async def redeem(self, request: Request) -> Answered[TokenGrant]:
        """A token for who has an invite."""
        require_known_page(request.headers, ())
        given = await self._bodies.read(request, RedeemRequest, 'send {"secret": "…", "room": "NAME", "tab": "…"}')
        invites = self._find_invites()
        if invites is None:
            raise ApiError(404, "there is no such invite", "ask whoever invited you for another", code="invite-unknown")
        issued = await invites.redeem(request, given)
        url = find_livekit(request, self._config)
        grant = TokenGrant(issued.token, url, issued.room, issued.identity, issued.expires)
        return Answered(grant, headers=_NOT_KEPT)

    async def invite(self, request: Request) -> Answered[InviteMade]:
        """A link for others."""
        require_known_page(request.headers, self._config.application.access.origins)
        given = await self._bodies.read(request, InviteRequest, 'send {"room": "NAME"}')
        # Without a role that the spec names, there are no hosts.
        invites = self._find_invites() if self._config.application.used else None
        if invites is None:
            raise ApiError(403, "nobody may invite others here but the operator", "it types `lkhub invite ROOM`")
        return Answered(await invites.create(request, given), 201, headers=_NOT_KEPT)


def _no_accounts() -> ApiError:
    return ApiError(404, "nobody signs in on this hub", "access.modes of its spec has no `oidc`")
