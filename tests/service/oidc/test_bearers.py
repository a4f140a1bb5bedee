"""Bearer tokens of applications."""

from base64 import urlsafe_b64encode
from dataclasses import replace

import httpx
import pytest
from msgspec import structs

from lkhub.wire.application import Limits, Rate
from lkhub.wire.serve_config import ServeConfig
from tests.kit.issuer import CLIENT, Issuer, make_key
from tests.service.conftest import Applied, Connect, check_error
from tests.service.oidc.kit import HUB, TOKEN, bearer, claims, sign_in

pytestmark = pytest.mark.anyio


async def test_application_gets_tokens_with_an_access_token(client: httpx.AsyncClient, issuer: Issuer) -> None:
    token = issuer.sign(groups=["admin"], name="Ann")
    answer = claims(await client.post(TOKEN, json={"room": "lobby"}, headers=bearer(token)))
    assert (answer["sub"], answer["name"], answer["video"]["roomAdmin"]) == ("u-1", "Ann", True)


async def test_listed_page_of_another_origin_may_send_one(client: httpx.AsyncClient, issuer: Issuer) -> None:
    headers = {**bearer(issuer.sign()), "origin": "https://app.rtc.example"}
    assert (await client.post(TOKEN, json={"room": "lobby"}, headers=headers)).status_code == 200


async def test_audit_log_names_the_subject_and_has_no_token(
    client: httpx.AsyncClient, issuer: Issuer, applied: Applied
) -> None:
    token = issuer.sign()
    await client.post(TOKEN, json={"room": "lobby"}, headers=bearer(token))
    (entry,) = applied.issued()
    assert (entry.caller, entry.identity) == ("oidc u-1", "u-1")
    assert token not in repr(entry)


async def test_token_that_does_not_count_is_401_and_says_why(client: httpx.AsyncClient, issuer: Issuer) -> None:
    for token, why in (
        (issuer.sign(exp=1), "expired"),
        (issuer.sign(aud=CLIENT), "audience"),
        (Issuer(keys=[make_key("first")]).sign(), "signature"),
        (urlsafe_b64encode(b'{"alg":"none"}').decode() + ".e30.", "algorithm"),
        ("a.b.c", "not a token"),
    ):
        answer = await client.post(TOKEN, json={"room": "lobby"}, headers=bearer(token))
        error = check_error(answer, 401, "not-authenticated")
        assert why in error["message"]
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert token not in answer.text


async def test_wrong_token_is_not_mended_by_a_session(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient
) -> None:
    await sign_in(client, provider_client)
    check_error(await client.post(TOKEN, json={"room": "lobby"}, headers=bearer("a.b.c")), 401, "not-authenticated")


async def test_account_is_limited_wherever_it_comes_from(connect: Connect, config: ServeConfig, issuer: Issuer) -> None:
    access = structs.replace(config.application.access, limits=Limits(caller=Rate(1, 3600)))
    limited = replace(config, application=structs.replace(config.application, access=access))
    async with connect(limited, HUB) as client:

        async def ask(subject: str) -> httpx.Response:
            return await client.post(TOKEN, json={"room": "lobby"}, headers=bearer(issuer.sign(sub=subject)))

        assert (await ask("u-1")).status_code == 200
        assert "this caller" in check_error(await ask("u-1"), 429, "too-many-requests")["message"]
        assert (await ask("u-2")).status_code == 200
