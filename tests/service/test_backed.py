"""A whole service with a store: what arrives reaches every part that follows it. No part looks by itself here, so that
nothing else can be the reason."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, select
from starlette.applications import Starlette
from starlette.types import Message

from lkhub.livekit.webhooks import sign
from lkhub.service import storage
from lkhub.service.backed import Backed, build_backed
from lkhub.service.errors import ApiError
from lkhub.service.rooms import reconcile
from lkhub.service.rooms.reconcile import Reconciliation
from lkhub.service.webhooks import hooks, stream
from lkhub.service.webhooks.missed import Search
from lkhub.state.store import read_store
from lkhub.store.deliveries import Delivery, list_deliveries
from lkhub.store.events import StoredEvent, list_after
from lkhub.store.schema import looks, seats
from lkhub.wire.application import LIVEKIT_WEBHOOKS, Receiver
from lkhub.wire.serve_config import ServeConfig
from tests.service.conftest import LAN, SECRET, Applied
from tests.service.rooms.kit import preset
from tests.service.webhooks.test_sender import Told, listen
from tests.waiting import DEADLINE_SECONDS, until

pytestmark = pytest.mark.anyio

NEVER = 1e6


@pytest.fixture(autouse=True)
def _no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (hooks, "POLL_SECONDS"),
        (stream, "POLL_SECONDS"),
        (storage, "WATCH_SECONDS"),
        (reconcile, "PERIOD_SECONDS"),
    ):
        monkeypatch.setattr(module, name, NEVER)


@asynccontextmanager
async def serving(config: ServeConfig) -> AsyncIterator[tuple[Backed, httpx.AsyncClient]]:
    backed = build_backed(config)
    app = Starlette(routes=backed.routes, lifespan=backed.lifespan)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=LAN) as client:
            yield backed, client
        backed.stop()


async def tell(client: httpx.AsyncClient, name: str, number: int = 1) -> httpx.Response:
    """LiveKit's webhook."""
    person = {"sid": "PA_ann", "identity": "ann", "state": "ACTIVE"}
    room = {"sid": "RM_1", "name": "voice-1"}
    body = json.dumps({"event": name, "id": f"EV_{number}", "room": room, "participant": person}).encode()
    headers = {"authorization": sign(body, "APIcurrent", SECRET, time.time())}
    return await client.post(LIVEKIT_WEBHOOKS, content=body, headers=headers)


def find_file(applied: Applied) -> Path:
    return Path(applied.config().application.store.url.removeprefix("sqlite:///"))


def sitting(applied: Applied) -> list[str]:
    with applied.store.reading() as connection:
        return list(connection.execute(select(seats.c.sid)).scalars())


def owed(applied: Applied) -> list[Delivery]:
    with applied.store.reading() as connection:
        return list_deliveries(connection, ["pending"], 100)


async def test_webhook_reaches_the_seats_the_looks_and_the_receivers(applied: Applied) -> None:
    told = Told()
    async with listen(told) as port:
        receiver = Receiver(f"http://127.0.0.1:{port}/", (), True)
        config = applied.config("open", rooms=(preset("voice-*", 2),), webhooks=(receiver,))
        async with serving(config) as (_, client):
            assert (await tell(client, "participant_joined")).status_code == 200
            await until(lambda: sitting(applied) == ["PA_ann"], "the seat")
            await until(lambda: told.requests, "the delivery")
            for number in range(2, 7):  # the service has looked into the store before the last of them, at least
                await until(lambda: owed(applied) == [], "the note of the delivery")
                await tell(client, "track_published", number)
                await until(lambda number=number: len(told.requests) == number)  # type: ignore[misc]

            def look() -> list[str]:
                with applied.store.reading() as connection:
                    return list(connection.execute(select(looks.c.identity).distinct()).scalars())

            await until(lambda: look() == ["ann"], "the look")


async def test_webhook_reaches_those_who_listen(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    _, bearer = applied.create_key()
    read: list[int] = []

    def list_noted(connection: Connection, sequence: int, limit: int) -> list[StoredEvent]:
        read.append(sequence)
        return list_after(connection, sequence, limit)

    monkeypatch.setattr(stream, "list_after", list_noted)
    async with serving(applied.config("api-keys")) as (backed, client):
        came = asyncio.Event()
        [route] = [each for each in backed.routes if each.path == "/api/events"]

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            if b"participant_joined" in message.get("body", b""):
                came.set()

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/api/events",
            "query_string": b"",
            "headers": [(b"authorization", bearer.encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8080),
        }
        listening = asyncio.ensure_future(route.app(scope, receive, send))
        await until(lambda: read, "a look into the store, which has nothing yet")
        await tell(client, "participant_joined")
        await asyncio.wait_for(came.wait(), DEADLINE_SECONDS)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_webhook_that_can_not_be_kept_is_a_gap_for_all_that_follow(
    applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    gaps: list[type] = []
    for kind in (Reconciliation, Search):
        monkeypatch.setattr(kind, "note_gap", lambda self: gaps.append(type(self)))
    async with serving(applied.config("api-keys", rooms=(preset("voice-*", 2),))) as (backed, client):
        await until(lambda: backed.storage._store is not None)
        find_file(applied).unlink()
        with pytest.raises(ApiError, match="reached"):
            await tell(client, "participant_joined")
    assert set(gaps) == {Reconciliation, Search}


async def test_store_is_watched_without_a_request(
    applied: Applied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "WATCH_SECONDS", 0.01)
    config = replace(applied.config("api-keys"), store=str(tmp_path / "state.json"))

    def problem() -> str | None:
        return record.problem if (record := read_store(config.store)) and record.made else None

    async with serving(config):
        await until(lambda: problem() == "")
        file = find_file(applied)
        away = file.rename(f"{file}-away")
        await until(lambda: problem() == "gone")
        away.rename(file)
        await until(lambda: problem() == "")
