"""Pages of other origins: those that the spec lists are answered, without cookies, and no other page is."""

from collections.abc import AsyncIterator

import httpx
import pytest
from msgspec import structs

from tests.service.conftest import ACCESS, LAN, Applied, Connect, check_error

pytestmark = pytest.mark.anyio

APP = "https://app.example.com"
PATHS = ("/api/livekit/token", "/api/token-source")
BODIES = {"/api/livekit/token": {"room": "lobby"}, "/api/token-source": {"room_name": "lobby"}}


@pytest.fixture
async def client(connect: Connect, applied: Applied) -> AsyncIterator[httpx.AsyncClient]:
    config = applied.config("api-keys", access=structs.replace(ACCESS, origins=(APP, "http://localhost:5173")))
    _, bearer = applied.create_key()
    async with connect(config, url=LAN, headers={"authorization": bearer}) as made:
        yield made


def preflight(origin: str, method: str = "POST", headers: str = "authorization,content-type") -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": headers,
    }


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", [APP, "http://localhost:5173"])
async def test_listed_page_is_answered(client: httpx.AsyncClient, path: str, origin: str) -> None:
    asked = await client.options(path, headers=preflight(origin))
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == origin
    allowed = asked.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "content-type" in allowed
    answer = await client.post(path, json=BODIES[path], headers={"origin": origin})
    assert answer.is_success
    assert answer.headers["access-control-allow-origin"] == origin
    assert "origin" in answer.headers["vary"].lower()
    for each in (asked, answer):
        assert "access-control-allow-credentials" not in each.headers


async def test_listed_page_may_read_why_it_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATHS[0], json={}, headers={"origin": APP})
    check_error(answer, 422, "invalid")
    assert answer.headers["access-control-allow-origin"] == APP
    assert "retry-after" in answer.headers["access-control-expose-headers"].lower()


FOREIGN = (
    *("https://evil.example", "https://app.example.com.evil.example", "https://app.example.com:444", "null", ""),
    *("http://app.example.com", "https://APP.example.com", "https://app.example.com/", f"{APP} https://evil.example"),
    *("https://evil.example/https://app.example.com", "*", "https://sub.app.example.com"),
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", FOREIGN)
async def test_page_that_is_not_listed_gets_nothing(client: httpx.AsyncClient, path: str, origin: str) -> None:
    asked = await client.options(path, headers=preflight(origin))
    check_error(asked, 403, "not-allowed")
    answer = await client.post(path, json=BODIES[path], headers={"origin": origin})
    check_error(answer, 403, "not-allowed")
    for each in (asked, answer):
        assert "access-control-allow-origin" not in each.headers


@pytest.mark.parametrize(
    ("method", "headers"), [("DELETE", "content-type"), ("POST", "x-secret"), ("POST", "cookie, content-type")]
)
async def test_listed_page_may_not_do_everything(client: httpx.AsyncClient, method: str, headers: str) -> None:
    check_error(await client.options(PATHS[0], headers=preflight(APP, method, headers)), 403, "not-allowed")


async def test_origin_is_no_key(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATHS[0], json={"room": "a"}, headers={"origin": APP, "authorization": ""})
    check_error(answer, 401, "not-authenticated")


async def test_page_of_the_hub_itself_needs_no_listing(client: httpx.AsyncClient) -> None:
    assert (await client.post(PATHS[0], json={"room": "a"}, headers={"origin": LAN})).status_code == 200


async def test_name_of_the_hub_is_checked_before_the_origin(client: httpx.AsyncClient) -> None:
    answer = await client.options(PATHS[0], headers={**preflight(APP), "host": "evil.example"})
    check_error(answer, 421, "wrong-host")
