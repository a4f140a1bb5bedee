"""The time of day jumps by an hour, as it does when a machine's clock is set: what is counted on another clock does not
notice, and nothing that the jump seems to end is gone once the clock is right again."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from msgspec import structs

from lkhub.service.app import build_app
from lkhub.store.api_keys import list_api_keys
from lkhub.store.invites import create_invite, list_invites
from lkhub.wire.application import Rate, Receiver
from lkhub.wire.serve_config import ServeConfig
from tests.service.conftest import ACCESS, LAN, Applied, Jump, check_error
from tests.service.rooms.kit import preset

pytestmark = pytest.mark.anyio

HOUR = 3600.0
TOKEN = "/api/livekit/token"


@asynccontextmanager
async def serving(config: ServeConfig) -> AsyncIterator[httpx.AsyncClient]:
    """The service with its jobs, and a client on the LAN."""
    app = build_app(config)
    transport = httpx.ASGITransport(app, client=("192.168.1.7", 50000))
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=LAN) as client:
        yield client


async def ask(client: httpx.AsyncClient, bearer: str, **body: str) -> httpx.Response:
    return await client.post(TOKEN, json={"room": "voice", **body}, headers={"authorization": bearer})


PRESET = preset("voice", 1, "reject")


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
async def test_seats_and_limits_do_not_notice(applied: Applied, jump: Jump, seconds: float) -> None:
    limits = structs.replace(ACCESS.limits, caller=Rate(3, 600))
    access = structs.replace(ACCESS, limits=limits)
    _, first = applied.create_key()
    _, second = applied.create_key()
    async with serving(applied.config("api-keys", access=access, rooms=(PRESET,))) as client:
        assert (await ask(client, first, identity="ann")).status_code == 200
        for offset in (seconds, 0.0):
            jump(offset)
            check_error(await ask(client, second, identity="bob"), 409, "room-full")
            assert (await ask(client, first, identity="ann")).status_code == 200, "the seat is still ann's"
        limited = await ask(client, first, identity="ann")
        check_error(limited, 429, "too-many-requests")
        jump(seconds)
        again = await ask(client, first, identity="ann")
        check_error(again, 429, "too-many-requests")
        assert 0 <= int(limited.headers["retry-after"]) - int(again.headers["retry-after"]) < 60


async def test_what_a_wrong_clock_ends_is_there_again_once_it_is_right(applied: Applied, jump: Jump) -> None:
    _, short = applied.create_key(ttl=HOUR / 2)
    _, lasting = applied.create_key()
    with applied.store.writing() as connection:
        now = time.time()
        _, secret = create_invite(
            connection,
            room="lobby",
            role="participant",
            uses=None,
            creator="test",
            now=now,
            expires=now + HOUR / 2,
        )
    redeem = {"secret": secret.reveal(), "room": "lobby", "tab": "tab-of-a-browser-1"}
    async with serving(applied.config("api-keys", webhooks=(Receiver("http://127.0.0.1:9/", (), True),))) as client:
        assert (await ask(client, short)).status_code == 200
        jump(HOUR)
        check_error(await ask(client, short), 401, "not-authenticated")
        assert (await ask(client, lasting)).status_code == 200
        answer = await client.post("/api/invites/redeem", json=redeem)
        check_error(answer, 403, "invite-expired")
        for offset in (-HOUR, 0.0):
            jump(offset)
            assert (await ask(client, short)).status_code == 200
            assert (await client.post("/api/invites/redeem", json=redeem)).status_code == 200
    with applied.store.reading() as connection:
        assert (len(list_api_keys(connection)), len(list_invites(connection))) == (2, 1)
    assert len(applied.issued()) == 6, "the log keeps every token"
