"""Which of the provider's tokens count, and what they say of a user.

The library is PyJWT: it needs nothing but `cryptography`, which lkhub has anyway, it binds a key to one algorithm, and
it judges times with a leeway.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from lkhub.livekit.tokens import count_bytes, find_unseen
from lkhub.service.oidc.fetch import Document, ProviderError
from lkhub.service.oidc.provider import Provider

# How far the clocks of the hub and the provider may differ. LiveKit allows as much.
LEEWAY_SECONDS = 60

MAX_TOKEN_BYTES = 16 * 1024

# Access tokens (RFC 9068) and plain ones. Other kinds, such as `logout+jwt`, are for other purposes.
_TYPES = ("jwt", "at+jwt", "application/at+jwt")

# OpenID's limit for a subject (OpenID Connect Core, section 2), which is ASCII. It becomes an identity.
MAX_SUBJECT_BYTES = 255

# Longer names of people are cut: a tile of a call shows less. At four bytes each, LiveKit takes 64 characters.
MAX_NAME_CHARACTERS = 64


class TokenRefusedError(Exception):
    """The token does not count. The text says why, and repeats nothing of the token."""


@dataclass(frozen=True)
class User:
    """Whom the provider vouches for. `name` is "" where the provider says none. `roles` are roles of the spec."""

    subject: str
    name: str
    roles: tuple[str, ...]


async def verify(provider: Provider, token: str, audience: str) -> Document:
    """The claims of a token that the provider signed for `audience`, and that is good now.

    Raises TokenRefusedError, and ProviderError where that can't be judged.
    """
    metadata = await provider.metadata()
    algorithm, name = _read_header(token, metadata.algorithms)
    keys = await provider.find_keys(name, algorithm)
    if not keys:
        raise TokenRefusedError("the token is signed with a key that the OpenID provider does not publish")
    if len(keys) > 1:
        raise TokenRefusedError("the token does not say with which of the OpenID provider's keys it is signed")
    try:
        key = keys[0].for_algorithm(algorithm)
    except ProviderError as error:
        provider.tell("keys", str(error))
        raise
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=audience,
            issuer=metadata.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "sub", "aud", "exp"], "enforce_minimum_key_length": True},
        )
    except PyJWTError as error:
        raise TokenRefusedError(_explain(error)) from None


def _read_header(token: str, algorithms: Container[str]) -> tuple[str, str]:
    """Algorithm and name of the key."""
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenRefusedError(f"the token has more than {MAX_TOKEN_BYTES // 1024} KiB")
    try:
        header = jwt.get_unverified_header(token)
    except (PyJWTError, ValueError, RecursionError):
        raise TokenRefusedError("this is not a token of the OpenID provider") from None
    algorithm, name = header.get("alg"), header.get("kid", "")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise TokenRefusedError("the token is signed with an algorithm that the OpenID provider does not sign with")
    if str(header.get("typ", "JWT")).lower() not in _TYPES or "crit" in header:
        raise TokenRefusedError("this is another kind of token")
    return algorithm, name


def _explain(error: PyJWTError) -> str:
    match error:
        case ExpiredSignatureError():
            return "the token has expired"
        case ImmatureSignatureError():
            return "the token is not valid yet: the clock of the hub or of the OpenID provider may be wrong"
        case InvalidAudienceError():
            return "the token is for another audience than access.oidc.audience"
        case InvalidIssuerError():
            return "the token is of another issuer"
        case InvalidSignatureError():
            return "the token's signature is wrong"
        case MissingRequiredClaimError(claim=claim):
            return f"the token has no {claim}"
        case _:
            return "the token is damaged"


def read_user(claims: Document, role_claim: str, roles: Container[str], default_role: str) -> User:
    """The user of verified claims. Raises TokenRefusedError."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < count_bytes(subject) <= MAX_SUBJECT_BYTES or find_unseen(subject):
        raise TokenRefusedError("the token has no subject that can be used")
    if "cnf" in claims:
        # Whoever has stolen it could use it here, which its issuer meant to prevent (RFC 7800).
        raise TokenRefusedError("the token is bound to a key of its owner, and the hub can't check that")
    named = tuple(role for role in _read_texts(_find(claims, role_claim)) if role in roles)
    return User(subject, _read_name(claims), tuple(dict.fromkeys(named)) or (default_role,))


def _find(claims: Document, name: str) -> Any:
    """A claim by its name, or by its path: Keycloak has roles in `realm_access.roles`."""
    if not name or name in claims:
        return claims.get(name)
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _read_texts(value: Any) -> list[str]:
    """The texts of a list, or of one text with spaces between them, as `scope` is."""
    if isinstance(value, str):
        return value.split()
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _read_name(claims: Document) -> str:
    for claim in ("name", "preferred_username"):
        value = claims.get(claim)
        if isinstance(value, str) and value.strip() and not find_unseen(value):
            return value.strip()[:MAX_NAME_CHARACTERS].strip()
    return ""
