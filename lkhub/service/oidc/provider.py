"""What the OpenID provider publishes about itself: its addresses and its keys."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from lkhub.service.oidc.fetch import Document, Fetcher, ProviderError, is_here, is_safe
from lkhub.service.oidc.kept import Kept
from lkhub.wire.application import DISCOVERY_PATH

log = logging.getLogger(__name__)

T = TypeVar("T")

# Signatures that only the provider can make. With HS256 the key is the client's secret, and with `none` there is none.
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})

# The kind of key that each algorithm needs.
_KINDS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", "")),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}

# What a private key has besides (RFC 7518, section 6). A provider publishes none, and to read one that it has made up
# can take for ever: the primes of RSA are searched for.
_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth"))

# How many keys of a set are looked at. Providers publish two or three.
MAX_KEYS = 100


@dataclass(frozen=True)
class Metadata:
    """The discovery document (OpenID Connect Discovery 1.0, section 3), as far as it is used. `algorithms` are those
    of ALGORITHMS that the provider signs with. `names_issuer`: its answers name their issuer (RFC 9207)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    algorithms: frozenset[str]
    authentication: tuple[str, ...]
    scopes: tuple[str, ...]
    names_issuer: bool


@dataclass(frozen=True)
class Key:
    """A public key of the provider; `algorithm` is "" where it takes every algorithm of its kind. `document` is a JWK
    (RFC 7517) of a public key."""

    name: str
    algorithm: str
    kind: tuple[str, str]
    document: Document

    def fits(self, algorithm: str) -> bool:
        return self.kind == _KINDS[algorithm] and self.algorithm in ("", algorithm)

    def for_algorithm(self, algorithm: str) -> PyJWK:
        """Raises ProviderError where the key is damaged."""
        try:
            return PyJWK.from_dict(dict(self.document), algorithm)
        except (PyJWTError, ValueError, TypeError, KeyError):
            raise ProviderError("the OpenID provider publishes a damaged key") from None


class Provider:
    """One provider. Its documents are kept, and asked for anew when they are old; so it may be away for a while.
    `tell` is called with what it was asked for and each failure, and with "" when it gives that."""

    def __init__(
        self,
        issuer: str,
        fetcher: Fetcher,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[str, str], None] = lambda what, problem: None,
    ) -> None:
        self._issuer, self.fetcher, self.tell = issuer, fetcher, tell
        self._metadata = Kept(partial(self.ask, "metadata", self._fetch_metadata), clock)
        self._keys = Kept(self._fetch_keys, clock)

    async def metadata(self) -> Metadata:
        return await self._metadata.get()

    async def find_keys(self, name: str, algorithm: str) -> list[Key]:
        """The keys that a token with this header may be signed with. Keys may have been rotated since they were last
        asked for, so they are asked for again."""
        keys = await self._keys.get()
        found = _match(keys, name, algorithm)
        return found or _match(await self._keys.renew(keys), name, algorithm)

    async def ask(self, what: str, load: Callable[[], Awaitable[T]]) -> T:
        """What `load` asks the provider for. Whether that fails is told."""
        try:
            loaded = await load()
        except ProviderError as error:
            log.warning("OpenID: %s", error)
            self.tell(what, str(error))
            raise
        self.tell(what, "")
        return loaded

    async def _fetch_metadata(self) -> Metadata:
        document = await self.fetcher.get(f"{self._issuer.rstrip('/')}{DISCOVERY_PATH}")
        return read_metadata(document, self._issuer)

    async def _fetch_keys(self) -> tuple[Key, ...]:
        metadata = await self.metadata()

        async def fetch() -> tuple[Key, ...]:
            return read_keys(await self.fetcher.get(metadata.jwks_uri))

        return await self.ask("keys", fetch)


def _match(keys: tuple[Key, ...], name: str, algorithm: str) -> list[Key]:
    return [key for key in keys if key.fits(algorithm) and (not name or key.name == name)]


def read_metadata(document: Document, issuer: str) -> Metadata:
    """The discovery document of `issuer`. Raises ProviderError."""
    found = _text(document, "issuer")
    # Some providers write a slash at the end and some don't, and people copy either.
    if found.rstrip("/") != issuer.rstrip("/"):
        raise ProviderError("the OpenID provider calls itself another issuer than access.oidc.issuer")
    needed = {name: _text(document, name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    userinfo = _text(document, "userinfo_endpoint", optional=True)
    for name, url in (*needed.items(), *([("userinfo_endpoint", userinfo)] if userinfo else [])):
        if not is_safe(url):
            raise ProviderError(f"the OpenID provider's {name} is neither https nor on this machine")
        # What listens on this machine alone may take anyone's requests for its operator's. A provider elsewhere must
        # not make the hub send some there.
        if is_here(url) and not is_here(issuer):
            raise ProviderError(f"the OpenID provider's {name} is on this machine, and the provider is not")
    algorithms = frozenset(_texts(document, "id_token_signing_alg_values_supported") or ["RS256"]) & ALGORITHMS
    if not algorithms:
        raise ProviderError("the OpenID provider signs with no algorithm that proves who signed")
    return Metadata(
        issuer=found,
        **needed,
        userinfo_endpoint=userinfo,
        algorithms=algorithms,
        # Discovery's default.
        authentication=_texts(document, "token_endpoint_auth_methods_supported") or ("client_secret_basic",),
        scopes=_texts(document, "scopes_supported"),
        names_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def read_keys(document: Document) -> tuple[Key, ...]:
    """The keys of a set (RFC 7517) that can verify a signature; others are left out."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise ProviderError("the OpenID provider publishes no set of keys")
    return tuple(key for each in listed[:MAX_KEYS] if isinstance(each, dict) and (key := _read_key(each)))


def _read_key(document: Document) -> Key | None:
    """None for a key of a kind that is not used, or for encryption."""
    kty, crv = document.get("kty"), document.get("crv")
    kind = (str(kty), "" if kty == "RSA" else str(crv))
    operations = document.get("key_ops", ["verify"])
    name, algorithm = document.get("kid", ""), document.get("alg", "")
    usable = (
        kind in _KINDS.values()
        and document.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and isinstance(name, str)
        and isinstance(algorithm, str)
    )
    public = {member: value for member, value in document.items() if member not in _PRIVATE}
    return Key(name, algorithm, kind, public) if usable else None


def _text(document: Document, name: str, *, optional: bool = False) -> str:
    value = document.get(name, "" if optional else None)
    if not isinstance(value, str):
        raise ProviderError(f"the OpenID provider's discovery document has no {name}")
    return value


def _texts(document: Document, name: str) -> tuple[str, ...]:
    value = document.get(name)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
