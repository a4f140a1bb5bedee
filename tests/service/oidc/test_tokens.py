"""The attack list on tokens of the provider, and what their claims say."""

import json
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse

from lkhub.service.oidc.fetch import ProviderError
from lkhub.service.oidc.provider import Provider
from lkhub.service.oidc.tokens import LEEWAY_SECONDS, MAX_TOKEN_BYTES, TokenRefusedError, User, read_user, verify
from tests.kit.issuer import AUDIENCE, ISSUER, Issuer, SigningKey, make_key

pytestmark = pytest.mark.anyio


async def refusal(provider: Provider, token: str) -> str:
    with pytest.raises(TokenRefusedError) as caught:
        await verify(provider, token, AUDIENCE)
    return str(caught.value)


def unsigned(head: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = (urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, claims))
    return f"{'.'.join(parts)}."


def good_claims() -> dict[str, Any]:
    return {"iss": ISSUER, "sub": "u-1", "aud": AUDIENCE, "exp": int(time.time()) + 3600}


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "EdDSA", "RS256"])
async def test_token_of_the_provider_counts(provider: Provider, issuer: Issuer, algorithm: str) -> None:
    issuer.keys = [make_key("k", algorithm)]
    assert (await verify(provider, issuer.sign(), AUDIENCE))["sub"] == "u-1"


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", "application/at+jwt", "AT+JWT", None])
async def test_access_tokens_and_plain_tokens_count(provider: Provider, issuer: Issuer, typ: str | None) -> None:
    assert await verify(provider, issuer.sign(head={"typ": typ}), AUDIENCE)


async def test_audience_may_be_one_of_several(provider: Provider, issuer: Issuer) -> None:
    assert await verify(provider, issuer.sign(aud=["https://other.example", AUDIENCE]), AUDIENCE)


async def test_token_without_the_name_of_a_key_counts_where_only_one_fits(provider: Provider, issuer: Issuer) -> None:
    token = issuer.sign(head={"kid": None})
    assert await verify(provider, token, AUDIENCE)


async def test_token_without_the_name_of_a_key_is_refused_where_several_fit(provider: Provider, issuer: Issuer) -> None:
    issuer.keys.append(make_key("second"))
    assert "which" in await refusal(provider, issuer.sign(head={"kid": None}))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, 7, ["ES256"]])
@pytest.mark.parametrize("tail", ["", "c2ln"])
async def test_token_without_a_signature_is_refused(provider: Provider, algorithm: Any, tail: str) -> None:
    token = unsigned({"alg": algorithm, "kid": "first"}, good_claims()) + tail
    assert await refusal(provider, token)


@pytest.mark.parametrize("form", ["PEM", "DER", "JWK"])
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_public_key_is_no_shared_secret(provider: Provider, issuer: Issuer, algorithm: str, form: str) -> None:
    """Algorithm confusion: a signature by HMAC with what everyone can read."""
    public = issuer.keys[0].private.public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    secrets = {
        "PEM": public.public_bytes(serialization.Encoding.PEM, spki),
        "DER": public.public_bytes(serialization.Encoding.DER, spki),
        "JWK": json.dumps(issuer.keys[0].jwk()).encode(),
    }
    head = {"alg": algorithm, "kid": "first", "typ": "JWT"}
    signed = unsigned(head, good_claims()).rstrip(".")
    mac = jwt.get_algorithm_by_name(algorithm)
    signature = mac.sign(signed.encode(), secrets[form])  # its prepare_key would refuse PEM
    token = f"{signed}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert "algorithm" in await refusal(provider, token)


async def test_algorithm_that_the_provider_does_not_name_is_refused(provider: Provider, issuer: Issuer) -> None:
    issuer.metadata = {"id_token_signing_alg_values_supported": ["RS256"]}
    assert "algorithm" in await refusal(provider, issuer.sign())


async def test_key_of_the_token_itself_is_not_used(provider: Provider) -> None:
    """`jwk`, `jku` and `x5u` in a header name a key of the attacker's."""
    own = make_key("first")
    head = {"jwk": own.jwk(), "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x"}
    assert "signature is wrong" in await refusal(provider, Issuer(keys=[own]).sign(head=head))


async def test_key_of_another_provider_is_refused(provider: Provider) -> None:
    assert "does not publish" in await refusal(provider, Issuer(keys=[make_key("theirs")]).sign())
    assert "signature is wrong" in await refusal(provider, Issuer(keys=[make_key("first")]).sign())


REFUSED: dict[str, tuple[Callable[[float], dict[str, Any]], str]] = {
    "expired": (lambda now: {"exp": now - LEEWAY_SECONDS - 5}, "has expired"),
    "not yet valid": (lambda now: {"nbf": now + LEEWAY_SECONDS + 60}, "not valid yet"),
    "issued in the future": (lambda now: {"iat": now + LEEWAY_SECONDS + 60}, "not valid yet"),
    "no end": (lambda _: {"exp": None}, "has no exp"),
    "no audience": (lambda _: {"aud": None}, "has no aud"),
    "no subject": (lambda _: {"sub": None}, "has no sub"),
    "no issuer": (lambda _: {"iss": None}, "has no iss"),
    "another audience": (lambda _: {"aud": "https://other.example"}, "another audience"),
    "part of the audience": (lambda _: {"aud": AUDIENCE[:-1]}, "another audience"),
    "empty audience": (lambda _: {"aud": []}, "has no aud"),
    "audience that is a mapping": (lambda _: {"aud": {AUDIENCE: True}}, "another audience"),
    "another issuer": (lambda _: {"iss": "https://evil.example"}, "another issuer"),
    "issuer with a slash": (lambda _: {"iss": f"{ISSUER}/"}, "another issuer"),
    "end that is text": (lambda _: {"exp": "tomorrow"}, "damaged"),
    "start that is text": (lambda _: {"nbf": "now"}, "damaged"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED)
async def test_token_that_does_not_count_says_why(
    provider: Provider, issuer: Issuer, change: Callable[[float], dict[str, Any]], reason: str
) -> None:
    assert reason in await refusal(provider, issuer.sign(**change(int(time.time()))))


@pytest.mark.parametrize("change", [{"exp": -30}, {"nbf": 30}, {"iat": 30}], ids=str)
async def test_clocks_may_differ_a_little(provider: Provider, issuer: Issuer, change: dict[str, int]) -> None:
    now = int(time.time())
    claims: dict[str, Any] = {name: now + seconds for name, seconds in change.items()}
    token = issuer.sign(**claims)
    assert await verify(provider, token, AUDIENCE)


@pytest.mark.parametrize(
    "head", [{"typ": "logout+jwt"}, {"typ": "dpop+jwt"}, {"crit": ["b64"], "b64": True}, {"crit": ["exp"], "exp": 1}]
)
async def test_other_kinds_of_tokens_are_refused(provider: Provider, issuer: Issuer, head: dict[str, Any]) -> None:
    assert re.search("another kind|not a token", await refusal(provider, issuer.sign(head=head)))


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "....", "é.é.é", "eyJ.eyJ.x", "\x00.\x00.\x00", "null.null.null"]
)
async def test_what_is_no_token_is_refused(provider: Provider, token: str) -> None:
    assert await refusal(provider, token)


async def test_every_changed_character_of_a_token_is_noticed(provider: Provider, issuer: Issuer) -> None:
    token = issuer.sign()
    # The last character of a part may have bits that mean nothing.
    ends = {index - 1 for index, character in enumerate(token + ".") if character == "."}
    for index in set(range(len(token))) - ends:
        changed = token[:index] + ("A" if token[index] != "A" else "B") + token[index + 1 :]
        assert await refusal(provider, changed)


async def test_endless_token_is_not_read(provider: Provider, issuer: Issuer) -> None:
    assert "KiB" in await refusal(provider, "a" * (MAX_TOKEN_BYTES + 1))
    assert issuer.asked.get("/jwks") is None


async def test_weak_key_is_refused(provider: Provider, issuer: Issuer) -> None:
    issuer.keys = [SigningKey("weak", "RS256", rsa.generate_private_key(65537, 1024))]
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = issuer.sign()
    assert await refusal(provider, token)


async def test_rotation_refuses_no_token_of_either_key(provider: Provider, issuer: Issuer) -> None:
    old = issuer.keys[0]
    assert await verify(provider, issuer.sign(), AUDIENCE)
    issuer.keys = [make_key("second"), old]
    assert await verify(provider, issuer.sign(), AUDIENCE)
    assert await verify(provider, issuer.sign(old), AUDIENCE)


async def test_unknown_key_of_a_provider_that_is_down_is_not_judged(provider: Provider, issuer: Issuer) -> None:
    assert await verify(provider, issuer.sign(), AUDIENCE)
    issuer.replies["/jwks"] = JSONResponse({}, 500)
    assert await verify(provider, issuer.sign(), AUDIENCE), "a known key goes on"
    with pytest.raises(ProviderError):
        await verify(provider, issuer.sign(make_key("second")), AUDIENCE)


# --- claims


ROLES = ("participant", "speaker", "host")


@pytest.mark.parametrize(
    ("claims", "claim", "roles"),
    [
        ({}, "", ("participant",)),
        ({"groups": ["host"]}, "", ("participant",)),
        ({}, "groups", ("participant",)),
        ({"groups": "host"}, "groups", ("host",)),
        ({"groups": ["host", "speaker"]}, "groups", ("host", "speaker")),
        ({"groups": ["host", "host"]}, "groups", ("host",)),
        ({"groups": ["staff", 7, None, ["host"]]}, "groups", ("participant",)),
        ({"groups": {"host": True}}, "groups", ("participant",)),
        ({"groups": "Host"}, "groups", ("participant",)),
        ({"scope": "openid host"}, "scope", ("host",)),
        ({"realm_access": {"roles": ["host"]}}, "realm_access.roles", ("host",)),
        ({"realm_access": ["host"]}, "realm_access.roles", ("participant",)),
        ({"https://x.example/roles": ["host"]}, "https://x.example/roles", ("host",)),
    ],
)
async def test_roles_are_those_of_the_claim_that_the_spec_knows(
    claims: dict[str, Any], claim: str, roles: tuple[str, ...]
) -> None:
    assert read_user({"sub": "u-1", **claims}, claim, ROLES, "participant") == User("u-1", "", roles)


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"name": "Ann Ü."}, "Ann Ü."),
        ({"name": " ", "preferred_username": "ann"}, "ann"),
        ({"name": 7, "preferred_username": "ann"}, "ann"),
        ({"name": "a\u202eb"}, ""),
        ({"name": "x" * 1000}, "x" * 64),
        ({}, ""),
    ],
)
async def test_name_is_what_people_can_be_shown(claims: dict[str, Any], name: str) -> None:
    assert read_user({"sub": "u", **claims}, "", ROLES, "participant").name == name


@pytest.mark.parametrize("subject", [None, "", 7, "a\nb", "a\u202eb", "x" * 256, "ü" * 200, ["u"]])
async def test_subject_that_can_not_be_an_identity_is_refused(subject: Any) -> None:
    with pytest.raises(TokenRefusedError, match="no subject"):
        read_user({"sub": subject}, "", ROLES, "participant")


async def test_token_that_is_bound_to_a_key_is_refused() -> None:
    with pytest.raises(TokenRefusedError, match="bound to a key"):
        read_user({"sub": "u", "cnf": {"jkt": "x"}}, "", ROLES, "participant")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_no_claim_gives_a_role_that_the_spec_lacks(value: Any) -> None:
    user = read_user({"sub": "u", "groups": value, "name": value}, "groups", ROLES, "participant")
    assert user.roles
    assert set(user.roles) <= set(ROLES)
