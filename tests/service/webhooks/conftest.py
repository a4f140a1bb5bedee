"""A store for webhooks, and what is put into it."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from lkhub.service.errors import ApiError
from lkhub.service.storage import Storage
from lkhub.store.events import NewEvent, add_events
from lkhub.store.lead import Lead, LeadOf
from lkhub.store.store import Store
from lkhub.wire.application import Store as Settings
from tests.kit.postgres import Postgres, run_postgres

Item = TypeVar("Item")
Result = TypeVar("Result")

URL = "http://127.0.0.1:9/hook"


class Kept(Storage):
    """The store of a service. `broken` is the error that it raises."""

    def __init__(self, store: Store) -> None:
        super().__init__(Settings())
        self.store = store
        self.broken: Exception | None = None

    async def read(self, operation: Callable[[Connection], Result]) -> Result:
        self._check()
        return await self.store.read(operation)

    async def run(self, operation: Callable[[Connection], Result]) -> Result:
        self._check()
        return await self.store.writer.run(operation)

    async def write(self, handler: Callable[[Connection, Sequence[Item]], Sequence[Result]], item: Item) -> Result:
        self._check()
        return await self.store.writer.run_batched(handler, item)

    async def make_lead(self, of: LeadOf) -> Lead:
        self._check()
        return self.store.make_lead(of)

    def _check(self) -> None:
        if self.broken:
            raise self.broken

    def add(self, *events: NewEvent) -> None:
        with self.store.writing() as connection:
            add_events(connection, events)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    yield Kept(store)
    store.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with run_postgres() as server:
        yield server


@pytest.fixture
def shared(postgres: Postgres) -> Iterator[tuple[Kept, Kept]]:
    """The stores of two services on one database."""
    url = postgres.create()
    stores = Store(url), Store(url)
    yield Kept(stores[0]), Kept(stores[1])
    for store in stores:
        store.close()


def event(number: int, room: str = "lobby", receivers: tuple[str, ...] = (URL,)) -> NewEvent:
    body = json.dumps({"event": "track_published", "id": f"EV_{number}", "n": number, "room": {"name": room}})
    return NewEvent(f"EV_{number}", room, "track_published", body, time.time(), receivers)


GONE = ApiError(503, "the store can't be reached")
