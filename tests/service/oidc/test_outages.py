"""A provider that is not well."""

import httpx
import pytest
from starlette.responses import JSONResponse, Response

from lkhub.service.contract import SIGN_IN
from lkhub.service.oidc.signing_in import BEGINNINGS
from tests.kit.issuer import Issuer
from tests.service.conftest import check_error
from tests.service.oidc.kit import JOIN, TOKEN, bearer, claims, is_signed_in, sign_in

pytestmark = pytest.mark.anyio


DOWN = {
    "down": JSONResponse({}, 503),
    "rubbish": Response("<html>maintenance"),
    "another issuer": JSONResponse({"issuer": "https://evil.example"}),
}


@pytest.mark.parametrize("reply", DOWN.values(), ids=DOWN)
async def test_provider_that_is_not_well_is_503_and_recovers(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer, reply: Response
) -> None:
    issuer.replies["/.well-known/openid-configuration"] = reply
    for _ in range(BEGINNINGS.times + 1):  # nobody is locked out by having tried
        answer = await client.post(SIGN_IN.path, json={"path": JOIN})
    check_error(answer, 503, "unavailable")
    assert "OpenID provider" in answer.json()["error"]["message"]
    assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize("path", ["/token", "/jwks", "/userinfo"])
async def test_provider_that_fails_on_the_way_leads_back_to_the_room(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer, path: str
) -> None:
    issuer.replies[path] = Response("<html>", 502)
    answer = await sign_in(client, provider_client)
    assert answer.headers["location"] == f"{JOIN}?sign-in=unavailable"
    issuer.replies.clear()
    assert not await is_signed_in(client)


async def test_who_is_signed_in_stays_so_while_the_provider_is_down(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer
) -> None:
    await sign_in(client, provider_client)
    for path in ("/.well-known/openid-configuration", "/jwks", "/token"):
        issuer.replies[path] = JSONResponse({}, 500)
    assert claims(await client.post(TOKEN, json={"room": "lobby"}))["sub"] == "u-1"


async def test_tokens_that_can_not_be_judged_are_503(client: httpx.AsyncClient, issuer: Issuer) -> None:
    issuer.replies["/.well-known/openid-configuration"] = JSONResponse({}, 500)
    answer = await client.post(TOKEN, json={"room": "lobby"}, headers=bearer(issuer.sign()))
    check_error(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "5"
