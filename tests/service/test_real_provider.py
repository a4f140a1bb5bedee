"""The hub with a certified provider, npm's oidc-provider."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx
import jwt
import pytest
from msgspec import structs

from lkhub.service.contract import SESSION, SIGN_IN
from lkhub.service.oidc import kept
from lkhub.service.oidc.callback import CALLBACK
from lkhub.wire.application import Oidc
from lkhub.wire.serve_config import ServeConfig
from tests.kit.issuer import SigningKey, make_key
from tests.kit.ports import free_port
from tests.kit.provider import install, run_provider, sign_in
from tests.service.conftest import ACCESS, SECRET, Applied, Connect, check_error

pytestmark = [pytest.mark.anyio, pytest.mark.integration]

HUB = "http://127.0.0.1:8080"
AUDIENCE = "https://rtc.example"
TOKEN = "/api/livekit/token"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return make_key("first")


@pytest.fixture(scope="module")
def port() -> int:
    install()
    return free_port()


@pytest.fixture
def provider(port: int, key: SigningKey) -> Iterator[str]:
    with run_provider(port, [key], HUB + CALLBACK) as issuer:
        yield issuer


@pytest.fixture
def config(applied: Applied, port: int) -> ServeConfig:
    oidc = Oidc(f"http://127.0.0.1:{port}", "lkhub", "", AUDIENCE, "groups")
    made = applied.config("oidc", access=structs.replace(ACCESS, oidc=oidc))
    return replace(made, reach="local")


@pytest.fixture
async def client(connect: Connect, config: ServeConfig) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(config, HUB) as made:
        yield made


async def come_back(client: httpx.AsyncClient, name: str = "ann") -> httpx.Response:
    """Sign in at the provider's own pages."""
    page = (await client.post(SIGN_IN.path, json={"path": "/join/lobby"})).json()["url"]
    return await client.get(await sign_in(page, name, HUB + CALLBACK))


async def ask_for_access_token(issuer: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as application:
        form = {"grant_type": "client_credentials", "resource": AUDIENCE, "scope": "api"}
        answer = await application.post(f"{issuer}/token", data=form, auth=("application", "only-for-a-test"))
    return str(answer.json()["access_token"])


async def test_person_signs_in_with_name_and_role(client: httpx.AsyncClient, provider: str) -> None:
    answer = await come_back(client)
    assert (answer.status_code, answer.headers["location"]) == (303, "/join/lobby")
    assert (await client.get(SESSION.path)).json() == {"signed_in": True, "name": "ann Example"}
    token = (await client.post(TOKEN, json={"room": "lobby"})).json()["token"]
    claims = jwt.decode(token, SECRET.reveal(), algorithms=["HS256"])
    assert (claims["sub"], claims["name"], claims["video"]["roomAdmin"]) == ("ann", "ann Example", True)


async def test_code_is_good_once(client: httpx.AsyncClient, provider: str) -> None:
    page = (await client.post(SIGN_IN.path, json={"path": "/join/lobby"})).json()["url"]
    cookies = dict(client.cookies)
    back = await sign_in(page, "ann", HUB + CALLBACK)
    assert (await client.get(back)).headers["location"] == "/join/lobby"
    client.cookies.update(cookies)
    check_error(await client.get(back), 400, "bad-request")


async def test_application_comes_with_an_access_token(client: httpx.AsyncClient, provider: str) -> None:
    headers = {"authorization": f"Bearer {await ask_for_access_token(provider)}"}
    answer = await client.post(TOKEN, json={"room": "lobby"}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["identity"] == "application"


async def test_keys_are_rotated_and_the_provider_comes_back(
    client: httpx.AsyncClient, port: int, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Strangers can't make the hub ask all the time; here the keys change twice within seconds.
    monkeypatch.setattr(kept, "RENEW_SECONDS", 0.0)
    monkeypatch.setattr(kept, "RETRY_SECONDS", 0.0)
    check_error(await client.post(SIGN_IN.path, json={"path": "/join/lobby"}), 503, "unavailable")
    second = make_key("second")
    with run_provider(port, [key], HUB + CALLBACK) as issuer:
        old = {"authorization": f"Bearer {await ask_for_access_token(issuer)}"}
        assert (await client.post(TOKEN, json={"room": "lobby"}, headers=old)).status_code == 200
    down = await client.post(TOKEN, json={"room": "lobby"}, headers=old)
    assert down.status_code == 200, "a token of a known key can be judged while the provider is down"
    with run_provider(port, [second, key], HUB + CALLBACK) as issuer:
        new = {"authorization": f"Bearer {await ask_for_access_token(issuer)}"}
        for headers in (new, old):
            assert (await client.post(TOKEN, json={"room": "lobby"}, headers=headers)).status_code == 200
        assert (await come_back(client)).headers["location"] == "/join/lobby"
    third = make_key("third")
    with run_provider(port, [third], HUB + CALLBACK) as issuer:
        newest = {"authorization": f"Bearer {await ask_for_access_token(issuer)}"}
        assert (await client.post(TOKEN, json={"room": "lobby"}, headers=newest)).status_code == 200
        check_error(await client.post(TOKEN, json={"room": "lobby"}, headers=old), 401, "not-authenticated")
