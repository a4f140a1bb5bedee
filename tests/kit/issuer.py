"""An OpenID provider of which a test chooses everything: keys, claims, times, delays, rubbish. It asks nobody for a
password: whoever opens its login page is `user`."""

import hashlib
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import anyio
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.waiting import wait_until

ISSUER = "https://id.example"
CLIENT, AUDIENCE = "lkhub", "https://rtc.example"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class SigningKey:
    """A key of the provider, with the algorithm that it is for."""

    kid: str
    algorithm: str
    private: PrivateKey

    def jwk(self) -> dict[str, Any]:
        """The public half."""
        made = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.private.public_key(), as_dict=True)
        return {**made, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def private_jwk(self) -> dict[str, Any]:
        """Both halves, as another provider reads them."""
        made = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.private, as_dict=True)
        return {**made, "kid": self.kid, "alg": self.algorithm, "use": "sig"}


def make_key(kid: str, algorithm: str = "ES256") -> SigningKey:
    """Elliptic curves take a millisecond, RSA takes 100."""
    made: PrivateKey
    match algorithm:
        case "ES256":
            made = ec.generate_private_key(ec.SECP256R1())
        case "ES384":
            made = ec.generate_private_key(ec.SECP384R1())
        case "EdDSA":
            made = ed25519.Ed25519PrivateKey.generate()
        case _:
            made = rsa.generate_private_key(65537, 2048)
    return SigningKey(kid, algorithm, made)


@dataclass
class Issuer:
    """The provider. What a test changes is in force for the next request. `asked` counts requests by path."""

    url: str = ISSUER
    keys: list[SigningKey] = field(default_factory=lambda: [make_key("first")])
    metadata: dict[str, Any] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=lambda: {"sub": "u-1", "name": "Ann"})
    in_id_token: dict[str, Any] = field(default_factory=dict)
    """Claims of ID tokens that replace the usual ones."""
    denies: bool = False
    replies: dict[str, Response] = field(default_factory=dict)
    """What is answered instead, by path."""
    delay: float = 0.0
    asked: dict[str, int] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    logins: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """How the hub proved itself at the token endpoint: its `Authorization`, and the form."""

    def sign(self, key: SigningKey | None = None, *, head: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token of `user` for AUDIENCE, good for an hour. A claim or header of None is left out."""
        key = key or self.keys[0]
        now = int(time.time())
        usual = {"iss": self.url, "sub": "u-1", "aud": AUDIENCE, "iat": now, "exp": now + 3600}
        payload = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        headers = {name: value for name, value in {"kid": key.kid, **(head or {})}.items() if value is not None}
        return jwt.encode(payload, key.private, key.algorithm, headers=headers)

    def app(self) -> Starlette:
        paths = {
            "/.well-known/openid-configuration": self._discovery,
            "/jwks": self._jwks,
            "/authorize": self._authorize,
            "/token": self._token,
            "/userinfo": self._userinfo,
        }

        def route(path: str) -> Route:
            async def handle(request: Request) -> Response:
                self.asked[path] = self.asked.get(path, 0) + 1
                await anyio.sleep(self.delay)
                return self.replies[path] if path in self.replies else await paths[path](request)

            return Route(path, handle, methods=["GET", "POST"])

        return Starlette(routes=[route(path) for path in paths])

    async def _discovery(self, _: Request) -> Response:
        usual = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "ES384", "EdDSA", "HS256", "none"],
            "scopes_supported": ["openid", "profile"],
        }
        return JSONResponse({**usual, **self.metadata})

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": [key.jwk() for key in self.keys]})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        said = {"error": "access_denied"} if self.denies else {"code": code}
        answer = {**said, "state": asked["state"], "iss": self.url}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", 302)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        self.logins.append((request.headers.get("authorization", ""), form))
        begun = self.codes.pop(form.get("code", ""), None)
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        right = begun is not None and (
            begun["redirect_uri"] == form.get("redirect_uri")
            and begun["code_challenge"] == urlsafe_b64encode(challenge).rstrip(b"=").decode()
        )
        if not right or begun is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        nonce = {"nonce": begun["nonce"]}
        token = self.sign(**{"sub": self.user["sub"], "aud": begun["client_id"], **nonce, **self.in_id_token})
        return JSONResponse({"id_token": token, "access_token": "opaque", "token_type": "Bearer"})

    async def _userinfo(self, request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer opaque":
            return JSONResponse({}, 401)
        return Response(json.dumps(self.user), media_type="application/json")


@contextmanager
def run_issuer(port: int) -> Iterator[Issuer]:
    """The provider on a port of 127.0.0.1."""
    issuer = Issuer(url=f"http://127.0.0.1:{port}")
    config = uvicorn.Config(issuer.app(), port=port, lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, "the provider listens")
        yield issuer
    finally:
        server.should_exit = True
        thread.join()
