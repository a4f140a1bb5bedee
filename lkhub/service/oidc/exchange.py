"""The authorization code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636): its addresses and answers."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import partial
from urllib.parse import quote_plus, urlencode

from lkhub.secret import Secret
from lkhub.service.oidc.fetch import Document, ProviderError
from lkhub.service.oidc.provider import Metadata, Provider
from lkhub.service.oidc.tokens import TokenRefusedError, User, read_user, verify
from lkhub.store.logins import Login
from lkhub.wire.application import Access, Oidc

# What the provider is asked for when a person comes back from it, for `lkhub status`.
_EXCHANGE = "exchange"


class LoginRefusedError(Exception):
    """The provider did not sign the person in. The text is for the log."""


def make_verifier() -> str:
    return secrets.token_urlsafe(48)


def hash_text(text: str) -> str:
    """SHA-256 as base64url: PKCE's challenge, and the state that belongs to a cookie."""
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


class Flow:
    """The flow of one hub with its provider. `secret` reads the client's secret, None for a public client."""

    def __init__(self, access: Access, oidc: Oidc, provider: Provider, secret: Callable[[], Secret | None]) -> None:
        self._access, self._oidc, self._provider, self._secret = access, oidc, provider, secret

    async def authorize(self, state: str, login: Login, redirect: str) -> str:
        """The provider's page that signs a person in and leads back to `redirect`."""
        metadata = await self._provider.metadata()
        query = {
            "response_type": "code",
            "client_id": self._oidc.client_id,
            "redirect_uri": redirect,
            "scope": " ".join(self._choose_scopes(metadata)),
            "state": state,
            "nonce": login.nonce,
            "code_challenge": hash_text(login.verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{joint}{urlencode(query)}"

    def _choose_scopes(self, metadata: Metadata) -> tuple[str, ...]:
        # Some providers give a claim only to those who ask for a scope of its name, such as `groups`.
        claim = self._oidc.role_claim
        wanted = ("openid", "profile", *([claim] if claim in metadata.scopes else []))
        return tuple(dict.fromkeys(wanted))

    async def find_user(self, code: str, issuer: str | None, login: Login, redirect: str) -> User:
        """Who signed in. `issuer` is what the answer says of its issuer (RFC 9207).

        Raises LoginRefusedError, and ProviderError where the provider can't be used.
        """
        metadata = await self._provider.metadata()
        if issuer != metadata.issuer and (issuer is not None or metadata.names_issuer):
            raise LoginRefusedError("the answer is of another issuer")
        answer = await self._provider.ask(_EXCHANGE, partial(self._exchange, metadata, code, login, redirect))
        try:
            claims = await verify(self._provider, answer["id_token"], self._oidc.client_id)
            self._check_login(claims, login)
            return self._read(await self._complete(metadata, claims, answer))
        except TokenRefusedError as error:
            raise LoginRefusedError(f"its ID token is refused: {error}") from None

    async def _exchange(self, metadata: Metadata, code: str, login: Login, redirect: str) -> Document:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
        form |= {"code_verifier": login.verifier}
        client, secret = self._oidc.client_id, self._secret()
        basic = None
        if secret is None:
            form |= {"client_id": client}
        elif "client_secret_basic" in metadata.authentication or "client_secret_post" not in metadata.authentication:
            basic = (quote_plus(client), quote_plus(secret.reveal()))  # RFC 6749, section 2.3.1
        else:
            form |= {"client_id": client, "client_secret": secret.reveal()}
        status, answer = await self._provider.fetcher.post(metadata.token_endpoint, form, basic)
        if status >= 500:
            raise ProviderError(f"the OpenID provider answers with status {status}")
        if status == 401 or answer.get("error") == "invalid_client":  # RFC 6749, section 5.2
            # Everyone's sign-in fails, and only the operator can mend it.
            problem = "the OpenID provider refuses the hub itself: client_id or client_secret of access.oidc is wrong"
            self._provider.tell(_EXCHANGE, problem)
            raise LoginRefusedError(problem)
        if status != 200:
            raise LoginRefusedError(f"the provider refuses the code with status {status}")
        if not isinstance(answer.get("id_token"), str):
            raise ProviderError("the OpenID provider gives no ID token")
        return answer

    def _check_login(self, claims: Document, login: Login) -> None:
        nonce, party = claims.get("nonce"), claims.get("azp")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), login.nonce.encode()):
            raise TokenRefusedError("it is for another sign-in")
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if party != self._oidc.client_id and (party is not None or several):
            raise TokenRefusedError("it was issued to another client")

    async def _complete(self, metadata: Metadata, claims: Document, answer: Document) -> Document:
        """The claims, with those that the provider gives at its userinfo endpoint alone."""
        user, access = self._read(claims), answer.get("access_token")
        # Without its claim, a person has the default role like one whose claim names no role.
        lacks = not user.name or (self._oidc.role_claim and user.roles == (self._access.default_role,))
        if not lacks or not metadata.userinfo_endpoint or not isinstance(access, str):
            return claims
        ask = partial(self._provider.fetcher.get, metadata.userinfo_endpoint, bearer=access)
        more = await self._provider.ask("userinfo", ask)
        if more.get("sub") != claims["sub"]:
            raise TokenRefusedError("the userinfo endpoint speaks of another person")
        return {**more, **claims}

    def _read(self, claims: Document) -> User:
        return read_user(claims, self._oidc.role_claim, self._access.roles, self._access.default_role)
