"""What a stranger may send to the endpoints for tokens of a hub that takes API keys and open requests."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import jwt
import pytest
from msgspec import structs
from sqlalchemy import func, select

from lkhub.service.bodies import LARGE_BODIES, LARGE_BYTES
from lkhub.store.schema import issued
from lkhub.wire.application import Limits, Rate
from tests.service.conftest import ACCESS, LAN, SECRET, Applied, Connect, check_error

pytestmark = pytest.mark.anyio

TOKEN, SOURCE = "/api/livekit/token", "/api/token-source"
JSON = {"content-type": "application/json"}


@pytest.fixture
async def client(connect: Connect, applied: Applied) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(applied.config("api-keys", "open"), url=LAN, come_from="192.168.1.77") as made:
        yield made


SQL = ("'; DROP TABLE issued; --", '" OR ""="', "1); DELETE FROM api_keys; --", "%s %(x)s :x ?1", "\\", "NULL")


@pytest.mark.parametrize("field", ["room", "identity", "name", "metadata", "party"])
@pytest.mark.parametrize("text", SQL)
async def test_sql_is_text(client: httpx.AsyncClient, applied: Applied, field: str, text: str) -> None:
    _, bearer = applied.create_key()
    body = {"room": "lobby", "identity": "ann", field: text}
    answer = await client.post(TOKEN, json=body, headers={"authorization": bearer})
    assert answer.status_code == 200
    token = jwt.decode(answer.json()["token"], SECRET.reveal(), algorithms=["HS256"])
    found = {"room": token["video"]["room"], "identity": token["sub"]}
    assert found == {name: body[name] for name in found}
    entry = applied.issued()[0]
    assert (entry.room, entry.identity) == (body["room"], body["identity"])


@pytest.mark.parametrize("bearer", [f"Bearer lkhub_{text}_x" for text in SQL])
async def test_sql_is_no_key(client: httpx.AsyncClient, applied: Applied, bearer: str) -> None:
    applied.create_key()
    check_error(
        await client.post(TOKEN, json={"room": "a"}, headers={"authorization": bearer}), 401, "not-authenticated"
    )
    with applied.store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(issued)).scalar() == 0


@pytest.mark.parametrize("path", [TOKEN, SOURCE])
@pytest.mark.parametrize(
    "text", ["a\r\nset-cookie: x=y", "a\nroot issued a token", "a\x1b[2J", "a\x00b", "a\u2028b"], ids=ascii
)
async def test_line_ends_get_into_no_header_and_no_log(
    client: httpx.AsyncClient, applied: Applied, caplog: pytest.LogCaptureFixture, path: str, text: str
) -> None:
    names: tuple[str, ...] = ("room", "identity", "name", "role", "party")
    if path == SOURCE:
        names = ("room_name", "participant_identity", "participant_name")
    with caplog.at_level(logging.DEBUG):
        for name in names:
            answer = await client.post(path, json={"room" if path == TOKEN else "room_name": "a", name: text})
            assert answer.status_code == 422
            assert text not in answer.text
            assert "set-cookie" not in answer.headers
    assert "root issued" not in caplog.text
    assert applied.issued() == []


@pytest.mark.parametrize("field", ["room", "identity", "metadata", "role", "attributes"])
async def test_half_a_character_is_no_text(client: httpx.AsyncClient, field: str) -> None:
    half = rb'{"room": "a", "%b": %b}' % (
        field.encode(),
        rb'{"x": "\ud800"}' if field == "attributes" else rb'"\ud800"',
    )
    body = half.replace(b'"room": "a", ', b"") if field == "room" else half
    answer = await client.post(TOKEN, content=body, headers={"content-type": "application/json"})
    check_error(answer, 400, "bad-request")


PATHS = (
    *("/api/livekit/token/", "//api/livekit/token", "/api//livekit/token", "/API/livekit/token"),
    *("/api/livekit/token%00", "/api/livekit/token;x", "/api/livekit/%74oken/.."),
    *("/api/livekit/token%2f", "/api/livekit/..%2flivekit/token", "/api\\livekit\\token", "/api/livekit/token.json"),
)


@pytest.mark.parametrize("path", PATHS)
async def test_no_other_path_gives_a_token(connect: Connect, applied: Applied, path: str) -> None:
    """A proxy that guards one path must not be passed by another spelling of it."""
    async with connect(applied.config("open"), url=LAN) as client:
        request = client.build_request("POST", TOKEN, json={"room": "lobby"})
        request.url = request.url.copy_with(raw_path=path.encode())
        answer = await client.send(request)
    # A redirect leads to the one path, and has the proxy judge it.
    assert answer.status_code in (404, 405, 307)
    assert answer.headers.get("location", TOKEN) == TOKEN
    assert applied.issued() == []


@pytest.mark.parametrize("header", ["x-http-method-override", "x-original-url", "x-rewrite-url", "x-forwarded-prefix"])
async def test_no_header_changes_what_is_asked(client: httpx.AsyncClient, header: str) -> None:
    answer = await client.get("/api/health", headers={header: "POST" if "method" in header else TOKEN})
    assert set(answer.json()) == {"status"}


CLAIMS: tuple[dict[str, Any], ...] = (
    {"grants": {"roomAdmin": True}},
    {"video": {"roomAdmin": True}},
    {"roomAdmin": True},
    {"ttl": 10**9},
    {"sub": "root"},
    {"sha256": "x"},
    {"roles": ["admin"]},
    {"__proto__": {"role": "admin"}},
    {"role": "__proto__"},
    {"role": "Admin"},
    {"role": " admin"},
    {"role": ["admin"]},
    {"room": ["lobby"]},
    {"identity": {"$ne": ""}},
)


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
async def test_what_a_caller_claims_is_refused(client: httpx.AsyncClient, applied: Applied, claim: Any) -> None:
    check_error(await client.post(TOKEN, json={"room": "lobby"} | claim), 422, "invalid")
    assert applied.issued() == []


async def test_stranger_gets_no_more_than_the_default_role(client: httpx.AsyncClient) -> None:
    for role in ("speaker", "admin"):
        check_error(await client.post(TOKEN, json={"room": "voice-1", "role": role}), 403, "not-allowed")


async def test_body_of_10_mb_is_refused_before_it_is_read(client: httpx.AsyncClient) -> None:
    sent = 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10_000_000:
            sent += 16 * 1024
            yield b"[" * 16 * 1024

    answer = await client.post(TOKEN, content=stream(), headers={"content-type": "application/json"})
    check_error(answer, 413, "too-large")


@pytest.mark.parametrize(
    "body",
    [
        b'{"room": "a", "room": "b"}',
        b'{"room": "a", "\\u0072oom": "b"}',
        b'{"room": "a", "attributes": {"x": "1", "x": "2"}}',
    ],
)
async def test_key_that_is_there_twice_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(TOKEN, content=body, headers={"content-type": "application/json"})
    error = check_error(answer, 400, "bad-request")
    assert "twice" in error["message"]


async def test_address_that_a_client_claims_changes_no_limit(connect: Connect, applied: Applied) -> None:
    access = structs.replace(ACCESS, limits=Limits(address=Rate(1, 3600)))
    config = replace(applied.config("open", access=access), authorities=())
    async with connect(config, url=LAN, come_from="192.168.1.77") as client:
        assert (await client.post(TOKEN, json={"room": "a"})).status_code == 200
        for header in ("x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip"):
            answer = await client.post(TOKEN, json={"room": "a"}, headers={header: "127.0.0.1"})
            check_error(answer, 429, "too-many-requests")
    assert [entry.address for entry in applied.issued()] == ["192.168.1.77"]


async def test_answers_show_neither_keys_nor_secrets(client: httpx.AsyncClient, applied: Applied) -> None:
    _, bearer = applied.create_key()
    secret = bearer.split("_", 2)[2]
    for headers in ({"authorization": bearer}, {"authorization": bearer + "x"}):
        for body in ({"room": "a"}, {"room": 1}, {"room": "a", "role": "admin"}):
            answer = await client.post(
                TOKEN, content=json.dumps(body), headers={**headers, "content-type": "application/json"}
            )
            assert secret not in answer.text
            assert SECRET.reveal() not in answer.text


LARGE = json.dumps({"room": "a", "secret": "s", "tab": "t" * 16, "metadata": "x" * LARGE_BYTES})


@pytest.mark.parametrize("path", [TOKEN, SOURCE, "/api/invites/redeem", "/api/sign-in"])
async def test_one_address_sends_few_large_bodies(connect: Connect, applied: Applied, path: str) -> None:
    config = applied.config("api-keys", "open")
    async with connect(config, url=LAN, come_from="192.168.1.77") as client:
        for _ in range(LARGE_BODIES.times):
            assert (await client.post(path, content=LARGE, headers=JSON)).status_code == 422
        answer = await client.post(path, content=LARGE, headers=JSON)
        check_error(answer, 429, "too-many-requests")
        assert 1 <= int(answer.headers["retry-after"]) <= LARGE_BODIES.seconds
        assert (await client.post(TOKEN, json={"room": "a"})).status_code == 200


async def test_application_sends_as_many_large_bodies_as_it_wants(connect: Connect, applied: Applied) -> None:
    _, bearer = applied.create_key()
    async with connect(applied.config("api-keys", "open"), url=LAN, come_from="192.168.1.77") as client:
        for _ in range(LARGE_BODIES.times + 1):
            answer = await client.post(TOKEN, content=LARGE, headers={**JSON, "authorization": bearer})
            assert answer.status_code == 422
