"""LiveKit's webhooks at the service: checked, stored, answered."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from lkhub.livekit.webhooks import WebhookEvent, sign
from lkhub.secret import Secret
from lkhub.service.errors import ApiError
from lkhub.service.refusals import answer_api_error
from lkhub.service.webhooks.intake import MAX_BODY_BYTES, Intake
from lkhub.store.deliveries import list_deliveries
from lkhub.store.events import StoredEvent, list_after, list_present
from lkhub.wire.application import Receiver
from tests.service.conftest import check_error
from tests.service.webhooks.conftest import GONE, Kept

pytestmark = pytest.mark.anyio

KEYS = {"APInew": Secret("XYZ" * 22), "APIold": Secret("OLD" * 22)}
ALL, SOME = "https://all.example/", "https://some.example/"
ROOM = {"sid": "RM_1", "name": "lobby", "turnPassword": "PASSWORD"}


@pytest.fixture
def intake(kept: Kept) -> Intake:
    receivers = [Receiver(ALL, (), False), Receiver(SOME, ("room_started",), False), Receiver(ALL, (), False)]
    return Intake(kept, lambda: KEYS, receivers)


@asynccontextmanager
async def serving(intake: Intake) -> AsyncIterator[httpx.AsyncClient]:
    async def fail(request: Any, error: Exception) -> Any:
        return await answer_api_error(request, error)

    app = Starlette(
        routes=[Route("/hook", intake.receive, methods=["POST"])],
        exception_handlers={ApiError: fail},
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        yield client


@pytest.fixture
async def client(intake: Intake) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(intake) as client:
        yield client


def dump(name: str = "room_started", id: str = "EV_1", **more: Any) -> bytes:
    return json.dumps({"event": name, "id": id, "room": ROOM, "createdAt": "17", **more}).encode()


async def post(client: httpx.AsyncClient, body: bytes, key: str = "APInew", token: str | None = None) -> httpx.Response:
    signed = sign(body, key, KEYS[key], time.time()) if token is None else token
    headers = {"authorization": signed, "content-type": "application/webhook+json"}
    return await client.post("/hook", content=body, headers=headers)


def stored(kept: Kept) -> list[StoredEvent]:
    with kept.store.reading() as connection:
        return list_after(connection, 0, 10_000)


async def test_event_is_stored_before_it_is_answered(client: httpx.AsyncClient, kept: Kept) -> None:
    assert (await post(client, dump(more=["ü"]))).status_code == 200
    [event] = stored(kept)
    assert (event.id, event.room, event.name) == ("EV_1", "lobby", "room_started")
    assert json.loads(event.body) == {
        "event": "room_started",
        "id": "EV_1",
        "createdAt": "17",
        "more": ["ü"],
        "room": {"sid": "RM_1", "name": "lobby"},
    }
    assert "PASSWORD" not in event.body
    with kept.store.reading() as connection:
        assert {each.receiver for each in list_deliveries(connection, ["pending"], 10)} == {ALL, SOME}
        assert [here.sid for here in list_present(connection)] == ["RM_1"]


async def test_receiver_is_owed_the_events_that_it_wants(client: httpx.AsyncClient, kept: Kept) -> None:
    assert (await post(client, dump("room_finished"))).status_code == 200
    with kept.store.reading() as connection:
        assert [each.receiver for each in list_deliveries(connection, ["pending"], 10)] == [ALL]


async def test_event_that_comes_again_is_answered_and_not_stored_again(
    client: httpx.AsyncClient, kept: Kept, intake: Intake
) -> None:
    heard: list[str] = []
    intake.listeners.append(lambda event: heard.append(event.id))
    for key in ("APInew", "APIold", "APInew"):
        assert (await post(client, dump(), key)).status_code == 200
    assert len(stored(kept)) == 1
    assert heard == ["EV_1"]


async def test_event_that_comes_again_may_not_have_been_followed(client: httpx.AsyncClient, intake: Intake) -> None:
    """Its first answer was lost: the process was killed, or PostgreSQL was gone before it said that it had stored."""
    gaps: list[None] = []
    intake.gaps.append(lambda: gaps.append(None))
    assert [(await post(client, dump())).status_code, len(gaps)] == [200, 0]
    assert [(await post(client, dump())).status_code, len(gaps)] == [200, 1]


async def test_many_at_once_are_all_stored(client: httpx.AsyncClient, kept: Kept) -> None:
    answers = await asyncio.gather(*(post(client, dump(id=f"EV_{number % 150}")) for number in range(200)))
    assert {answer.status_code for answer in answers} == {200}
    assert {event.id for event in stored(kept)} == {f"EV_{number}" for number in range(150)}


@pytest.mark.parametrize(
    "token",
    ["", "Bearer x", "a.b.c", sign(dump(), "APIother", KEYS["APInew"], time.time()),
     sign(dump(), "APInew", KEYS["APIold"], time.time()), sign(dump(), "APInew", KEYS["APInew"], time.time() - 3600),
     sign(dump() + b" ", "APInew", KEYS["APInew"], time.time())],
)  # fmt: skip
async def test_what_no_key_signed_is_refused(client: httpx.AsyncClient, kept: Kept, token: str) -> None:
    check_error(await post(client, dump(), token=token), 401, "not-authenticated")
    assert stored(kept) == []


async def test_body_of_a_stranger_is_not_even_read(client: httpx.AsyncClient) -> None:
    read = 0

    async def pour() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 65536
            yield b"x" * 65536

    check_error(await client.post("/hook", content=pour()), 401, "not-authenticated")
    assert read == 0


async def test_body_without_an_end_is_not_read_to_its_end(client: httpx.AsyncClient) -> None:
    token = sign(dump(), "APInew", KEYS["APInew"], time.time())
    read = 0

    async def pour() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 65536
            yield b"x" * 65536

    check_error(await client.post("/hook", content=pour(), headers={"authorization": token}), 413, "too-large")
    assert read <= MAX_BODY_BYTES + 65536


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b"nonsense", b"[" * 100_000, b'{"event":7,"id":"1"}'),
        *(rb'{"event":"e","id":"1","room":{"metadata":"\ud800"}}', rb'{"event":"e","id":"1\u0000"}'),
        rb'{"event":"e","id":"1","track":{"sid":"\u0000"}}',
    ],
)
async def test_what_is_signed_and_no_event_is_refused(client: httpx.AsyncClient, kept: Kept, body: bytes) -> None:
    check_error(await post(client, body), 400, "bad-request")
    assert stored(kept) == []


async def test_calls_of_the_verification_are_no_events(client: httpx.AsyncClient, kept: Kept) -> None:
    assert (await post(client, dump(room={"sid": "RM_9", "name": "lkhub-verify-x"}))).status_code == 200
    assert stored(kept) == []


async def test_store_that_is_gone_is_a_gap_and_no_success(
    client: httpx.AsyncClient, kept: Kept, intake: Intake
) -> None:
    gaps: list[None] = []
    intake.gaps.append(lambda: gaps.append(None))
    kept.broken = GONE
    assert (await post(client, dump())).status_code == 503
    assert len(gaps) == 1
    kept.broken = None
    assert (await post(client, dump())).status_code == 200
    assert len(stored(kept)) == 1


async def test_listener_that_fails_loses_no_event(client: httpx.AsyncClient, kept: Kept, intake: Intake) -> None:
    heard: list[WebhookEvent] = []

    def fail(event: WebhookEvent) -> None:
        raise ZeroDivisionError

    intake.listeners += [fail, heard.append]
    assert (await post(client, dump())).status_code == 200
    assert [event.room.name for event in heard] == ["lobby"]
    assert len(stored(kept)) == 1


async def test_refusals_are_told_seldom_and_repeat_nothing(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        await post(client, dump(), token="XYZ.XYZ.XYZ")
    assert len(caplog.records) == 1
    assert "XYZ" not in caplog.text
