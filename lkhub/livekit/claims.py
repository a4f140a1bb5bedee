"""Reading JWTs that one of the hub's keys has signed: access tokens, and LiveKit's webhooks. Pure.

As for signing (tokens.py), the standard library's HMAC is enough: a library for JWT loads 18 MiB of other cryptography.
"""

import hashlib
import hmac
import math
from base64 import urlsafe_b64decode
from collections.abc import Mapping

from lkhub.secret import Secret
from lkhub.source.json_text import Json, parse_finite_json

# Two machines' clocks may differ by so much (livekit/protocol, tokenLeeway in auth/verifier.go).
LEEWAY_SECONDS = 60


class SignatureError(ValueError):
    """A text that none of the hub's keys has signed, or that is not good now. The message repeats nothing of it."""


def read_claims(token: str, keys: Mapping[str, Secret], now: float, most_bytes: int) -> dict[str, Json]:
    """The claims of a token of at most `most_bytes`. `now` is Epoch seconds. Raises SignatureError."""
    if len(token) > most_bytes:
        raise SignatureError("the token is too long")
    header, claims, signed, signature = _split(token)
    if header.get("alg") != "HS256":
        raise SignatureError("the token is not signed with HS256")
    issuer = claims.get("iss")
    secret = keys.get(issuer) if isinstance(issuer, str) else None
    # The signature is compared for an unknown key too, so that the time does not tell which keys there are.
    expected = hmac.digest((secret or Secret("-")).reveal().encode(), signed, hashlib.sha256)
    if not hmac.compare_digest(expected, signature) or secret is None:
        raise SignatureError("the token is not signed with a key of this hub")
    if not _number(claims, "nbf", 0.0) - LEEWAY_SECONDS <= now < _number(claims, "exp") + LEEWAY_SECONDS:
        raise SignatureError("the token has expired, or is not valid yet")
    return claims


def _split(token: str) -> tuple[dict[str, Json], dict[str, Json], bytes, bytes]:
    """Header, claims, what was signed, and the signature."""
    parts = token.split(".")
    try:
        header, claims, signature = (urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts)
        decoded = parse_finite_json(header), parse_finite_json(claims)
        signed = f"{parts[0]}.{parts[1]}".encode("ascii")
    except ValueError:
        raise SignatureError("there is no token") from None
    if not all(isinstance(part, dict) for part in decoded):
        raise SignatureError("there is no token")
    return *decoded, signed, signature


def _number(claims: Mapping[str, Json], name: str, default: float = math.nan) -> float:
    """A time among the claims. NaN, which no comparison accepts, where it is none."""
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan
