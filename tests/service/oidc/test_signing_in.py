"""Signing in to the web application, from the page to the provider and back."""

from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from msgspec import structs

from lkhub.service.contract import SESSION, SIGN_IN, SIGN_OUT
from lkhub.service.oidc.callback import CALLBACK
from lkhub.service.oidc.signing_in import BEGINNINGS
from lkhub.wire.application import Oidc
from lkhub.wire.serve_config import ServeConfig
from tests.kit.issuer import AUDIENCE, CLIENT, ISSUER, Issuer
from tests.service.conftest import Connect, check_error
from tests.service.oidc.kit import HUB, JOIN, TOKEN, begin, claims, is_signed_in, sign_in
from tests.service.test_contract import check_body

pytestmark = pytest.mark.anyio


async def test_person_signs_in_and_gets_a_token(client: httpx.AsyncClient, provider_client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/hub")).json()["sign_in"] is True
    assert not await is_signed_in(client)
    check_error(await client.post(TOKEN, json={"room": "lobby"}), 401, "not-authenticated")
    answer = await sign_in(client, provider_client)
    assert (answer.status_code, answer.headers["location"]) == (303, JOIN)
    state = await client.get(SESSION.path)
    check_body(state, SESSION.answers)
    assert state.json() == {"signed_in": True, "name": "Ann"}
    token = claims(await client.post(TOKEN, json={"room": "lobby"}))
    assert (token["sub"], token["name"], token["video"]["room"]) == ("u-1", "Ann", "lobby")


async def test_provider_is_asked_by_the_book(client: httpx.AsyncClient, config: ServeConfig) -> None:
    answer = await client.post(SIGN_IN.path, json={"path": JOIN})
    check_body(answer, SIGN_IN.answers)
    url = urlsplit(answer.json()["url"])
    query = {name: value[0] for name, value in parse_qs(url.query).items()}
    assert url._replace(query="").geturl() == f"{ISSUER}/authorize"
    assert query["redirect_uri"] == f"{HUB}{CALLBACK}"
    assert (query["response_type"], query["client_id"]) == ("code", CLIENT)
    assert query["code_challenge_method"] == "S256"
    assert query["scope"] == "openid profile"
    assert len(query["state"]) == len(query["code_challenge"]) == 43
    assert len(query["nonce"]) >= 32
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-lkhub-login-")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_query_of_the_providers_page_stays(client: httpx.AsyncClient, issuer: Issuer) -> None:
    """Azure AD B2C names its policy there."""
    issuer.metadata["authorization_endpoint"] = f"{issuer.url}/authorize?p=policy"
    assert (await begin(client)).startswith(f"{issuer.url}/authorize?p=policy&response_type=code&")


async def test_scope_of_the_role_claim_is_asked_for_where_there_is_one(
    client: httpx.AsyncClient, issuer: Issuer
) -> None:
    issuer.metadata = {"scopes_supported": ["openid", "groups"]}
    assert parse_qs(urlsplit(await begin(client)).query)["scope"] == ["openid profile groups"]


async def test_nobody_signs_in_over_a_network_without_tls(connect: Connect, config: ServeConfig) -> None:
    async with connect(config, "http://192.168.1.5:8080", "192.168.1.7") as client:
        assert (
            "https" in check_error(await client.post(SIGN_IN.path, json={"path": JOIN}), 403, "not-allowed")["message"]
        )


async def test_two_tabs_may_sign_in_at_the_same_time(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient
) -> None:
    first, second = await begin(client), await begin(client, "/join/other")
    for page, path in ((first, JOIN), (second, "/join/other")):
        answer = await client.get((await provider_client.get(page)).headers["location"])
        assert (answer.status_code, answer.headers["location"]) == (303, path)


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/",
        "//evil.example/join/x",
        "/join//evil.example",
        "/\\evil.example",
        "/join/\\evil",
        "/join/x/../../api/hub",
        "/join/x\r\nset-cookie: a=b",
        "/join/x?sign-in=ok",
        "/join/x#i=secret",
        "/join/",
        "/join",
        "/",
        "/api/sign-out",
        "javascript:alert(1)",
        "/join/ü",
        "/join/" + "x" * 2001,
        "",
    ],
    ids=ascii,
)
async def test_sign_in_leads_back_to_rooms_alone(client: httpx.AsyncClient, path: str) -> None:
    check_error(await client.post(SIGN_IN.path, json={"path": path}), 422, "invalid")


@pytest.mark.parametrize(
    "path", ["/join/lobby", "/join/the%20big%20room", "/join/a%2Fb", "/join/room(2)", "/join/%E2%80%AE"]
)
async def test_every_room_can_be_returned_to(client: httpx.AsyncClient, path: str) -> None:
    assert await begin(client, path)


async def test_sign_ins_of_one_address_are_few(client: httpx.AsyncClient) -> None:
    for _ in range(BEGINNINGS.times):
        await begin(client)
    limited = await client.post(SIGN_IN.path, json={"path": JOIN})
    check_error(limited, 429, "too-many-requests")
    assert int(limited.headers["retry-after"]) > 0


@pytest.mark.parametrize("path", [SIGN_IN.path, SIGN_OUT.path])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.rtc.example"])
async def test_other_pages_sign_nobody_in_or_out(client: httpx.AsyncClient, path: str, origin: str) -> None:
    check_error(await client.post(path, json={"path": JOIN}, headers={"origin": origin}), 403, "not-allowed")
    check_error(await client.post(path, data={"path": JOIN}), 415, "wrong-content-type")
    assert (await client.get(path)).status_code == 405


async def test_person_who_is_refused_by_the_provider_comes_back(
    client: httpx.AsyncClient, provider_client: httpx.AsyncClient, issuer: Issuer
) -> None:
    issuer.denies = True
    answer = await sign_in(client, provider_client)
    assert answer.headers["location"] == f"{JOIN}?sign-in=denied"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_secret_of_the_client_goes_as_the_provider_wants_it(
    connect: Connect,
    config: ServeConfig,
    provider_client: httpx.AsyncClient,
    issuer: Issuer,
    tmp_path: Path,
    method: str,
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s e:c\n")
    access = config.application.access
    oidc = Oidc(ISSUER, CLIENT, str(secret), AUDIENCE, "")
    application = structs.replace(config.application, access=structs.replace(access, oidc=oidc))
    issuer.metadata = {"token_endpoint_auth_methods_supported": [method]}
    async with connect(replace(config, application=application), HUB) as client:
        assert (await sign_in(client, provider_client)).headers["location"] == JOIN
    (login, form) = issuer.logins[0]
    if method == "client_secret_basic":
        assert b64decode(login.removeprefix("Basic ")).decode() == "lkhub:s+e%3Ac"
        assert "client_secret" not in form
    else:
        assert (login, form["client_secret"]) == ("", "s e:c")
