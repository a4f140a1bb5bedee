"""Signing in to the web application: from the room's page to the provider, back, and a session."""

import hmac
import logging
import re
import secrets
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lkhub.secret import Secret
from lkhub.service.access.caller import Caller, find_bearer
from lkhub.service.address import find_client
from lkhub.service.errors import ApiError, refuse_too_many
from lkhub.service.oidc.callback import CALLBACK
from lkhub.service.oidc.cookies import read_login, read_session, set_login, set_session
from lkhub.service.oidc.exchange import Flow, LoginRefusedError, hash_text, make_verifier
from lkhub.service.oidc.fetch import Fetcher, ProviderError, is_loopback
from lkhub.service.oidc.provider import Provider
from lkhub.service.oidc.state import ProviderState
from lkhub.service.oidc.tokens import TokenRefusedError, User, read_user, verify
from lkhub.service.own_origin import OwnOrigin, find_own_origin, is_own_page
from lkhub.service.rates import Windows
from lkhub.service.storage import Storage
from lkhub.store.logins import Login, begin_login, take_login
from lkhub.store.sessions import Session, add_session, end_session, find_session
from lkhub.wire.application import Oidc, Rate
from lkhub.wire.serve_config import ServeConfig

log = logging.getLogger(__name__)

# How long a person may take at the provider, with a second factor and a forgotten password.
LOGIN_SECONDS = 600

# For so long a person has the roles that the provider named at the sign-in.
SESSION_SECONDS = 12 * 3600

# Each sign-in that begins is written to the store.
BEGINNINGS = Rate(30, 60)

# A page of a room, as the web application writes it: no other site, no other page, nothing behind it.
_PATH = re.compile(r"/join/[A-Za-z0-9%._~!$&'()*+,;=:@-]{1,2000}", re.ASCII)

# No guess can be right, so wrong bearer tokens are not counted.
_INVALID = {"www-authenticate": 'Bearer error="invalid_token"'}


class SigningIn:
    """Mode `oidc` of one hub: its sessions, and the bearer tokens that applications send."""

    def __init__(
        self,
        config: ServeConfig,
        oidc: Oidc,
        storage: Storage,
        secret: Callable[[], Secret | None],
        fetcher: Fetcher | None = None,
    ) -> None:
        self._config, self._access, self._oidc, self._storage = config, config.application.access, oidc, storage
        state = ProviderState(config.openid, oidc.issuer)
        self.keep_up = state.told.keep_up
        self._provider = Provider(oidc.issuer, fetcher or Fetcher(), tell=state)
        self._flow = Flow(self._access, oidc, self._provider, secret)
        self._begun = Windows(BEGINNINGS)

    # --- who asks

    async def identify(self, request: Request) -> Caller | None:
        """The caller with a token of the provider, or with a session. Raises ApiError for a token that is refused."""
        bearer = find_bearer(request)
        if bearer.count(".") == 2:
            user = await self._read_bearer(bearer)
        elif not bearer and (session := await self.find_session(request)):
            user = User(session.subject, session.name, session.roles)
        else:
            return None
        return Caller("oidc", user.subject, user.name, roles=user.roles, identity=user.subject)

    async def _read_bearer(self, token: str) -> User:
        try:
            claims = await verify(self._provider, token, self._oidc.audience)
            return read_user(claims, self._oidc.role_claim, self._access.roles, self._access.default_role)
        except TokenRefusedError as error:
            hint = "send an access token of the OpenID provider that the hub trusts"
            raise ApiError(401, str(error), hint, _INVALID) from None
        except ProviderError as error:
            raise _unavailable(error) from None

    async def find_session(self, request: Request) -> Session | None:
        """The session of a page of the hub; None where nobody is signed in."""
        cookie = read_session(request, secure=find_own_origin(request, self._config).secure)
        if not cookie or not is_own_page(request):
            return None
        return await self._storage.read(lambda connection: find_session(connection, self._bind(cookie), time.time()))

    # --- signing in and out

    async def begin(self, request: Request, path: str) -> tuple[str, Callable[[Response], None]]:
        """The provider's page that signs a person in, and what sets the cookie of this sign-in. Afterwards the browser
        is led to `path`. Raises ApiError."""
        if not _PATH.fullmatch(path):
            raise ApiError(422, "path: this is not the page of a room", "send the path of a room: /join/NAME")
        own = self._require_private(request)
        client = find_client(request, self._config)
        self._require_few(client)
        cookie = secrets.token_urlsafe(32)
        # Whoever has not the cookie can't end this sign-in, and no sign-in of another person ends in this browser.
        state = hash_text(cookie)
        login = Login(make_verifier(), secrets.token_urlsafe(24), path)
        try:
            url = await self._flow.authorize(state, login, own.url + CALLBACK)
        except ProviderError as error:
            raise _unavailable(error) from None
        self._begun.count(client, time.monotonic())
        await self._storage.run(lambda connection: begin_login(connection, state, login, time.time(), LOGIN_SECONDS))
        return url, lambda response: set_login(response, state, cookie, LOGIN_SECONDS, secure=own.secure)

    async def end(self, request: Request) -> Response:
        """The page that the provider leads back to. It needs no own origin: state, nonce, PKCE and a cookie prove that
        this browser began it."""
        own = self._require_private(request)
        query = request.query_params
        state = query.get("state", "")
        cookie = read_login(request, state, secure=own.secure)
        if not cookie or not hmac.compare_digest(hash_text(cookie).encode(), state.encode(errors="replace")):
            raise _over()
        login = await self._storage.run(lambda connection: take_login(connection, state, time.time()))
        if login is None:
            raise _over()
        problem, session = await self._finish(request, login, own)
        answer = RedirectResponse(login.path + (f"?sign-in={problem}" if problem else ""), 303)
        answer.headers["cache-control"] = "no-store"
        set_login(answer, state, "", 0, secure=own.secure)
        if session:
            set_session(answer, session, SESSION_SECONDS, secure=own.secure)
        return answer

    async def _finish(self, request: Request, login: Login, own: OwnOrigin) -> tuple[str, str]:
        """Why the person is not signed in, or "", and the cookie of the new session."""
        query = request.query_params
        if error := query.get("error"):
            # Written by the provider, so it is no text for the log (RFC 6749, section 4.1.2.1).
            log.warning("OpenID: the provider ends a sign-in with an error")
            return ("denied" if error == "access_denied" else "failed"), ""
        try:
            user = await self._flow.find_user(query.get("code", ""), query.get("iss"), login, own.url + CALLBACK)
        except LoginRefusedError as error:
            log.warning("OpenID: a sign-in failed: %s", error)
            return "failed", ""
        except ProviderError:  # it was told
            return "unavailable", ""
        cookie, now = secrets.token_urlsafe(32), time.time()
        session = Session(user.subject, user.name, user.roles, now + SESSION_SECONDS)
        await self._storage.run(lambda connection: add_session(connection, self._bind(cookie), session, now))
        return "", cookie

    async def sign_out(self, request: Request) -> Callable[[Response], None]:
        """End the session. Returns what deletes its cookie."""
        secure = find_own_origin(request, self._config).secure
        if cookie := read_session(request, secure=secure):
            await self._storage.run(lambda connection: end_session(connection, self._bind(cookie)))
        return lambda response: set_session(response, "", 0, secure=secure)

    def _bind(self, cookie: str) -> str:
        """The cookie as the store knows it. A session ends with the provider that vouched for it: at another one, its
        subject may be another person."""
        return f"{self._oidc.issuer} {cookie}"

    def _require_private(self, request: Request) -> OwnOrigin:
        own = find_own_origin(request, self._config)
        if own.secure or is_loopback(urlsplit(own.url).hostname or ""):
            return own
        raise ApiError(
            403, "signing in needs https", "open the hub by its https address; `tls` in the spec gives it one"
        )

    def _require_few(self, client: str) -> None:
        if wait := self._begun.find_wait(client, time.monotonic()):
            raise refuse_too_many("sign-ins from this address", wait)


def _over() -> ApiError:
    hint = "open the room's address again and sign in there. A sign-in works once, for ten minutes, in one browser"
    return ApiError(400, "this sign-in is over", hint)


def _unavailable(error: ProviderError) -> ApiError:
    return ApiError(503, str(error), "try again in a moment", {"retry-after": "5"})
