"""A store that can't be used: requests that need it say why, and it is used again once it can be."""

import asyncio
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import Connection, delete, text

from lkhub.service import storage as storage_module
from lkhub.service.errors import ApiError
from lkhub.service.storage import Storage
from lkhub.service.store_state import StoreState
from lkhub.state.store import read_store
from lkhub.store import open as open_module
from lkhub.store.errors import StoreError
from lkhub.store.schema import issued
from lkhub.store.sound import look, try_out
from lkhub.store.store import Store
from lkhub.wire.application import Store as StoreSettings
from tests.kit.postgres import Postgres
from tests.service.conftest import LAN, Applied, Connect, check_error
from tests.store.conftest import postgres
from tests.waiting import until

__all__ = ["postgres"]

pytestmark = pytest.mark.anyio

TOKEN = "/api/livekit/token"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(open_module, "LOCKED_SECONDS", 0.05)


async def ask(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post(TOKEN, json={"room": "lobby"})


def check_unavailable(answer: httpx.Response, why: str, applied: Applied) -> None:
    error = check_error(answer, 503, "unavailable")
    assert why in error["message"]
    assert int(answer.headers["retry-after"]) > 0
    assert "store.db" not in answer.text, "no path of this machine for whoever asks"
    assert "/" not in error["message"]


def file_of(applied: Applied) -> Path:
    return Path(applied.store._engine.url.database or "")


async def test_store_that_is_locked(connect: Connect, applied: Applied) -> None:
    async with connect(applied.config("open"), url=LAN) as client:
        assert (await ask(client)).status_code == 200
        other = sqlite3.connect(file_of(applied), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        check_unavailable(await ask(client), "locked", applied)
        other.execute("ROLLBACK")
        other.close()
        assert (await ask(client)).status_code == 200


async def test_store_that_was_removed_is_not_made_anew(connect: Connect, applied: Applied) -> None:
    file = file_of(applied)
    _, bearer = applied.create_key()
    async with connect(applied.config("api-keys"), url=LAN, headers={"authorization": bearer}) as client:
        assert (await ask(client)).status_code == 200
        applied.store.close()
        kept = file.with_name("kept")
        file.rename(kept)
        for _ in range(2):
            check_unavailable(await ask(client), "can't be reached", applied)
        assert not file.exists()
        kept.rename(file)
        assert (await ask(client)).status_code == 200


async def test_store_that_another_lkhub_has_changed(connect: Connect, applied: Applied) -> None:
    with applied.store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("UPDATE usable SET since = '9999'"))
    async with connect(applied.config("open"), url=LAN) as client:
        check_unavailable(await ask(client), "newer lkhub", applied)
        with applied.store.writing() as connection:
            connection.execute(text(f"UPDATE alembic_version SET version_num = '{open_module.VERSION}'"))
        assert (await ask(client)).status_code == 200


async def test_store_that_is_no_store(connect: Connect, applied: Applied) -> None:
    applied.store.close()
    file_of(applied).write_bytes(b"rubbish" * 1000)
    async with connect(applied.config("open"), url=LAN) as client:
        check_unavailable(await ask(client), "damaged", applied)


@pytest.mark.parametrize("content", [None, b"\xff"])
async def test_password_that_cannot_be_read(
    connect: Connect, applied: Applied, tmp_path: Path, content: bytes | None
) -> None:
    password = tmp_path / "password"
    if content is not None:
        password.write_bytes(content)
    settings = StoreSettings("postgresql+psycopg://lkhub@127.0.0.1:1/lkhub", str(password))
    async with connect(applied.config("open", store=settings), url=LAN) as client:
        error = check_error(await ask(client), 503, "unavailable")
    assert "127.0.0.1" not in error["message"]


async def test_store_that_is_full(connect: Connect, applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up = open_module._set_up_sqlite

    def set_up_small(connection: Any, record: object) -> None:
        set_up(connection, record)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    monkeypatch.setattr(open_module, "_set_up_sqlite", set_up_small)
    async with connect(applied.config("open"), url=LAN) as client:
        answers = [await ask(client) for _ in range(300)]
        check_unavailable(answers[-1], "no space", applied)
        assert answers[0].status_code == 200
        assert len(applied.issued()) == sum(answer.is_success for answer in answers)
        with applied.store.writing() as connection:
            connection.execute(delete(issued))
        assert (await ask(client)).status_code == 200


async def test_store_that_cannot_be_used_is_not_tried_for_each_request(
    connect: Connect, applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_module, "RETRY_SECONDS", 3600.0)
    tried = 0

    def fail(*_: Any, **__: Any) -> None:
        nonlocal tried
        tried += 1
        raise StoreError("gone")

    monkeypatch.setattr(storage_module, "Store", fail)
    async with connect(applied.config("open"), url=LAN) as client:
        for _ in range(5):
            check_unavailable(await ask(client), "can't be reached", applied)
        assert (await client.get("/api/hub")).status_code == 200, "what needs no store is there"
    assert tried == 1


async def test_status_is_told_later_what_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state directory was read-only, or away, when the store could be used again."""
    monkeypatch.setattr(storage_module, "WATCH_SECONDS", 0.02)
    folder, away = tmp_path / "state", tmp_path / "away"
    folder.mkdir()
    record = str(folder / "store.json")
    state = StoreState(record)
    state.note_failure(StoreError("gone"))
    folder.rename(away)
    state.note_success()
    away.rename(folder)
    found = read_store(record)
    assert found
    assert found.failing
    url = f"sqlite:///{tmp_path}/store.db"
    Store(url).close()
    storage = Storage(StoreSettings(url=url), state)
    watching = asyncio.ensure_future(storage.watch())
    try:
        await until(lambda: (found := read_store(record)) is not None and found.failing is None)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await storage.close()


async def test_store_that_is_damaged_is_so_until_all_of_it_can_be_read(tmp_path: Path) -> None:
    """Most of a damaged store can be written, and `lkhub status` would say that it is well."""
    record = str(tmp_path / "store.json")
    storage = Storage(StoreSettings(f"sqlite:///{tmp_path}/store.db"), StoreState(record))

    def find_damage(_: Connection) -> None:
        raise StoreError("corrupted")

    def failing() -> bool:
        found = read_store(record)
        return found is not None and found.failing is not None

    await storage.run(try_out)
    with pytest.raises(ApiError):
        await storage.read(find_damage)
    await storage.run(try_out)
    assert failing()
    watching = asyncio.ensure_future(storage.watch())
    await until(lambda: not failing())
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await storage.close()


def test_store_at_another_place_was_never_made(tmp_path: Path) -> None:
    """The state directory was moved: the new store would be told as one that was removed, and never be made."""
    record = str(tmp_path / "store.json")
    StoreState(record, "/before/store.db").note_success()
    assert StoreState(record, "/before/store.db").made
    assert not StoreState(record, "/now/store.db").made


def hold_close(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Keep every store from closing until the event is set, as a connection that hangs does."""
    close, may_close = Store.close, threading.Event()

    def close_late(store: Store) -> None:
        assert may_close.wait(30)
        close(store)

    monkeypatch.setattr(Store, "close", close_late)
    return may_close


async def test_store_is_closed_before_it_is_opened_again(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite would go on with the index that was removed: connections of one process share it."""
    applied.store.close()
    file = file_of(applied)
    storage = Storage(StoreSettings(f"sqlite:///{file}"))
    await storage.run(try_out)
    may_close = hold_close(monkeypatch)
    file.with_name(f"{file.name}-shm").unlink()
    asks = [asyncio.ensure_future(storage.run(try_out)) for _ in range(2)]
    await until(storage._closing.locked)
    again = asyncio.ensure_future(storage.run(try_out))
    await until(lambda: storage._lock.locked() and storage._closing.locked())  # it waits for the other
    assert storage._store is None
    may_close.set()
    await again
    await asyncio.gather(*asks, return_exceptions=True)
    await storage.close()


async def test_store_is_opened_again_only_after_what_reads_it(applied: Applied) -> None:
    """A connection that reads keeps the index that was removed, for all of this process, and other processes make
    another: what a command wrote was overwritten."""
    applied.store.close()
    file = file_of(applied)
    storage = Storage(StoreSettings(f"sqlite:///{file}"))
    await storage.run(try_out)
    reads, may_end = threading.Event(), threading.Event()

    def read_late(connection: Connection) -> None:
        look(connection)
        reads.set()
        assert may_end.wait(30)

    reading = asyncio.ensure_future(storage.read(read_late))
    await until(reads.is_set)
    index = file.with_name(f"{file.name}-shm")
    index.unlink()
    asks = [asyncio.ensure_future(storage.run(try_out)) for _ in range(2)]
    await until(lambda: storage._store is None)
    again = asyncio.ensure_future(storage.run(try_out))
    await until(lambda: storage._lock.locked() and storage._closing.locked())  # it waits for the other
    assert storage._store is None
    may_end.set()
    await reading
    await again
    assert index.exists()
    await asyncio.gather(*asks, return_exceptions=True)
    await storage.close()


def lose_connection(_: Connection) -> None:
    raise StoreError("gone")


async def test_store_that_is_used_again_before_it_is_closed_does_not_count_as_failing(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that hangs keeps what failed open for seconds. The status spoke of it until the next trouble."""
    record = str(tmp_path / "store.json")
    storage = Storage(StoreSettings(postgres.create()), StoreState(record))
    await storage.run(try_out)
    may_close = hold_close(monkeypatch)
    failing = asyncio.ensure_future(storage.read(lose_connection))
    await until(lambda: storage._store is None)
    await storage.run(try_out)
    may_close.set()
    with pytest.raises(ApiError):
        await failing
    found = read_store(record)
    assert found
    assert found.failing is None
    await storage.close()


@pytest.mark.parametrize("by", ["starlette", "asyncio"])
async def test_failure_is_recorded_also_where_its_caller_is_cancelled(
    by: str, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a stream of events is whose client leaves while a connection that hangs is closed. The status said that all is
    well for as long as the store failed, since the same failure is not told twice."""
    record = str(tmp_path / "store.json")
    storage = Storage(StoreSettings(postgres.create()), StoreState(record))
    await storage.run(try_out)

    async def ask() -> None:
        with suppress(ApiError, asyncio.CancelledError):
            await storage.read(lose_connection)

    may_close = hold_close(monkeypatch)
    async with anyio.create_task_group() as client:
        job = asyncio.ensure_future(ask()) if by == "asyncio" else None
        if not job:
            client.start_soon(ask)
        await until(lambda: storage._store is None)
        await asyncio.sleep(0)
        (job or client.cancel_scope).cancel()
        may_close.set()
    if job:
        await job
    found = read_store(record)
    assert found
    assert found.failing is not None
    await storage.close()


@pytest.mark.parametrize("steps", range(6))
async def test_failure_whose_telling_was_cancelled_is_recorded_by_the_next_caller(steps: int, tmp_path: Path) -> None:
    """As jobs of the webhooks are, by asyncio itself, when the lead is lost as the store fails."""
    record = str(tmp_path / "store.json")
    storage = Storage(StoreSettings(f"sqlite:///{tmp_path / 'lkhub.db'}"), StoreState(record))
    await storage.run(try_out)
    fail, failing = storage._fail, asyncio.Event()

    async def note_failing(error: StoreError, store: Store | None) -> ApiError:
        failing.set()
        return await fail(error, store)

    storage._fail = note_failing  # type: ignore[method-assign]
    job = asyncio.ensure_future(storage.read(lose_connection))
    await failing.wait()
    for _ in range(steps):
        await asyncio.sleep(0)
    job.cancel()
    with suppress(ApiError, asyncio.CancelledError):
        await job
    with pytest.raises(ApiError):
        await storage.read(lose_connection)
    found = read_store(record)
    assert found
    assert found.failing is not None
    await storage.close()
