"""A provider that is not well."""

import asyncio
from dataclasses import replace

import httpx
import pytest
from msgspec import structs
from starlette.responses import JSONResponse, Response

from lkhub.checks.openid import check_openid
from lkhub.service.contract import SIGN_IN
from lkhub.service.oidc import kept, signing_in
from lkhub.service.oidc.fetch import Fetcher
from lkhub.service.oidc.signing_in import BEGINNINGS
from lkhub.state.openid import OpenIdRecord, read_openid, write_openid
from lkhub.wire.serve_config import ServeConfig
from tests.kit.issuer import Issuer
from tests.service.conftest import Applied, Connect, check_error
from tests.service.oidc.kit import HUB, JOIN, TOKEN, bearer, claims, is_signed_in, sign_in

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


@pytest.mark.parametrize("trouble", ["slow", "rubbish"])
async def test_provider_in_trouble_is_told_to_status_delays_no_other_caller_and_is_used_again(
    connect: Connect,
    config: ServeConfig,
    issuer: Issuer,
    monkeypatch: pytest.MonkeyPatch,
    applied: Applied,
    trouble: str,
) -> None:
    monkeypatch.setattr(kept, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(signing_in, "Fetcher", lambda: Fetcher(httpx.ASGITransport(issuer.app()), seconds=0.3))
    access = structs.replace(config.application.access, modes=("api-keys", "oidc"))
    record = f"{config.keys}.openid"
    config = replace(config, application=structs.replace(config.application, access=access), openid=record)
    _, key = applied.create_key()
    async with connect(config, HUB) as client:
        match trouble:
            case "slow":
                issuer.delay, reason = 60, "the OpenID provider does not answer within 0.3 s"
            case _:
                issuer.replies["/jwks"] = Response("<html>maintenance")
                reason = "the OpenID provider answers with something that is no JSON object"
        waiting = asyncio.ensure_future(client.post(TOKEN, json={"room": "lobby"}, headers=bearer(issuer.sign())))
        by_key = await client.post(TOKEN, json={"room": "lobby"}, headers={"authorization": key})
        assert by_key.status_code == 200
        assert trouble == "rubbish" or not waiting.done(), "it did not wait for the provider"
        check_error(await waiting, 503, "unavailable")
        found = read_openid(record)
        assert found
        [finding] = check_openid(found.failing, found.problem)
        assert finding.detail.endswith(reason)
        issuer.delay = 0
        issuer.replies.clear()
        assert claims(await client.post(TOKEN, json={"room": "lobby"}, headers=bearer(issuer.sign())))["sub"] == "u-1"
        assert read_openid(record) == OpenIdRecord(None, "", issuer.url)


async def test_trouble_with_another_issuer_is_forgotten(connect: Connect, config: ServeConfig, issuer: Issuer) -> None:
    """The spec had a wrong one before; the trouble with the right one is kept over a restart."""
    record = f"{config.keys}.openid"
    config = replace(config, openid=record)
    write_openid(record, OpenIdRecord(1.0, "no address is found for its name", "https://wrong.example"))
    async with connect(config, HUB):
        assert read_openid(record) == OpenIdRecord(None, "", issuer.url)
    down = OpenIdRecord(2.0, "the OpenID provider does not answer within 5 s", issuer.url)
    write_openid(record, down)
    async with connect(config, HUB):
        assert read_openid(record) == down


async def test_client_that_the_provider_refuses_is_told_to_status(
    connect: Connect,
    config: ServeConfig,
    provider_client: httpx.AsyncClient,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A wrong secret: everyone's sign-in fails, and only the operator can mend it."""
    config = replace(config, openid=f"{config.keys}.openid")
    async with connect(config, HUB) as client:
        issuer.replies["/token"] = JSONResponse({"error": "invalid_client"}, 401)
        assert (await sign_in(client, provider_client)).headers["location"] == f"{JOIN}?sign-in=failed"
        found = read_openid(config.openid)
        assert found
        [finding] = check_openid(found.failing, found.problem)
        assert "client_secret of access.oidc is wrong" in finding.detail
        assert "client_secret of access.oidc is wrong" in caplog.text
        issuer.replies.clear()
        await sign_in(client, provider_client)
        assert read_openid(config.openid) == OpenIdRecord(None, "", issuer.url)


@pytest.mark.parametrize("path", ["/token", "/jwks", "/userinfo"])
async def test_provider_that_fails_on_the_way_leads_back_to_the_room_and_is_a_finding(
    connect: Connect, config: ServeConfig, provider_client: httpx.AsyncClient, issuer: Issuer, path: str
) -> None:
    record = f"{config.keys}.openid"
    async with connect(replace(config, openid=record), HUB) as client:
        issuer.replies[path] = Response("<html>", 502)
        answer = await sign_in(client, provider_client)
        assert answer.headers["location"] == f"{JOIN}?sign-in=unavailable"
        found = read_openid(record)
        assert found
        assert found.failing
        assert not await is_signed_in(client)
        issuer.replies.clear()
        if path == "/jwks":  # it is left alone for some seconds
            return
        await sign_in(client, provider_client)
        assert await is_signed_in(client)
        assert read_openid(record) == OpenIdRecord(None, "", issuer.url)


async def test_refused_client_stays_a_finding_while_applications_bring_tokens(
    connect: Connect, config: ServeConfig, provider_client: httpx.AsyncClient, issuer: Issuer
) -> None:
    """The provider's keys are asked for again and again, and that they come lets nobody sign in."""
    config = replace(config, openid=f"{config.keys}.openid")
    async with connect(config, HUB) as client:
        issuer.replies["/token"] = JSONResponse({"error": "invalid_client"}, 401)
        await sign_in(client, provider_client)
        assert (await client.post(TOKEN, json={"room": "lobby"}, headers=bearer(issuer.sign()))).status_code == 200
        found = read_openid(config.openid)
        assert found
        assert "client_secret of access.oidc is wrong" in found.problem
        issuer.replies.clear()
        await sign_in(client, provider_client)
        assert read_openid(config.openid) == OpenIdRecord(None, "", issuer.url)


@pytest.mark.parametrize("path", ["/token", "/userinfo"])
async def test_provider_that_goes_on_failing_fails_since_it_began_to(
    connect: Connect, config: ServeConfig, provider_client: httpx.AsyncClient, issuer: Issuer, path: str
) -> None:
    """What it answers well meanwhile, such as the request before, does not end that."""
    config = replace(config, openid=f"{config.keys}.openid")
    async with connect(config, HUB) as client:
        issuer.replies[path] = Response("<html>", 502)
        await sign_in(client, provider_client)
        first = read_openid(config.openid)
        await sign_in(client, provider_client)
        assert first
        assert read_openid(config.openid) == first


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
