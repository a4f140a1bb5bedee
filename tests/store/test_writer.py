"""Writes that share a commit, and what becomes of the others when one fails."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text

from lkhub.store.errors import StoreError
from lkhub.store.schema import families
from lkhub.store.store import Store
from tests.kit.postgres import Postgres
from tests.waiting import DEADLINE_SECONDS

pytestmark = pytest.mark.anyio


def add(name: str):  # type: ignore[no-untyped-def]
    def operation(connection: Connection) -> str:
        connection.execute(insert(families).values(name=name, version=1))
        return name

    return operation


def names(store: Store) -> list[str]:
    with store.reading() as connection:
        return list(connection.execute(select(families.c.name).order_by(families.c.name)).scalars())


async def test_each_write_is_committed_when_its_caller_continues(store: Store) -> None:
    assert await store.writer.run(add("a")) == "a"
    assert names(store) == ["a"]


async def test_write_that_fails_takes_no_other_with_it(store: Store) -> None:
    await store.writer.run(add("taken"))
    writes = [add("a"), add("taken"), add("b")]
    results = await asyncio.gather(*map(store.writer.run, writes), return_exceptions=True)
    assert [results[0], results[2]] == ["a", "b"]
    assert isinstance(results[1], StoreError)
    assert names(store) == ["a", "b", "taken"]


async def test_store_that_is_locked_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lkhub.store.open.LOCKED_SECONDS", 0.2)
    store = Store(f"sqlite:///{tmp_path}/store.db")
    holder = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    results = await asyncio.gather(*(store.writer.run(add(str(n))) for n in range(500)), return_exceptions=True)
    assert {getattr(result, "problem", result) for result in results} == {"locked"}
    assert time.monotonic() - began < 50, "500 waits of 0.2 s would take 100 s"
    holder.close()
    assert await store.writer.run(add("a")) == "a"
    store.close()


async def test_error_of_an_operation_is_its_callers(store: Store) -> None:
    def fail(connection: Connection) -> None:
        add("lost")(connection)
        raise LookupError("mine")

    results = await asyncio.gather(store.writer.run(fail), store.writer.run(add("a")), return_exceptions=True)
    assert isinstance(results[0], LookupError)
    assert names(store) == ["a"]


@pytest.mark.parametrize("error", [StopIteration, asyncio.CancelledError, SystemExit, KeyboardInterrupt])
async def test_no_exception_ends_the_thread(store: Store, error: type[BaseException]) -> None:
    """Those that are no errors, and the one that no future takes, end the operation alone too."""

    def fail(connection: Connection) -> None:
        raise error

    writes = (store.writer.run(add("a")), store.writer.run(fail), store.writer.run(add("b")))
    results = await asyncio.wait_for(asyncio.gather(*writes, return_exceptions=True), DEADLINE_SECONDS)
    assert [results[0], results[2]] == ["a", "b"]
    assert isinstance(results[1], RuntimeError)
    assert error.__name__ in str(results[1])
    assert await asyncio.wait_for(store.writer.run(add("c")), DEADLINE_SECONDS) == "c"


async def test_items_that_wait_are_handled_together_and_in_order(store: Store) -> None:
    sizes: list[int] = []

    def handle(connection: Connection, items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        connection.execute(insert(families), [{"name": str(item), "version": item} for item in items])
        return [item * 2 for item in items]

    results = await asyncio.gather(*(store.writer.run_batched(handle, item) for item in range(2000)))
    assert results == [item * 2 for item in range(2000)]
    assert sum(sizes) == 2000
    assert len(sizes) < 200, "one commit for many"
    assert len(names(store)) == 2000


async def test_file_that_was_removed_takes_no_more_writes(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    await store.writer.run(add("a"))
    (tmp_path / "store.db").unlink()
    with pytest.raises(StoreError, match="was removed or replaced"):
        await store.writer.run(add("b"))
    with pytest.raises(StoreError, match="was removed or replaced"):
        names(store)
    store.close()


async def test_server_that_was_restarted_is_written_to_again(postgres: Postgres) -> None:
    store = Store(postgres.create())
    await store.writer.run(add("a"))
    postgres.stop()
    with pytest.raises(StoreError) as away:
        await store.writer.run(add("b"))
    assert away.value.problem == "gone"
    postgres.start()
    await store.writer.run(add("c"))
    assert names(store) == ["a", "c"]
    store.close()


async def test_write_whose_connection_is_cut_is_made_again(postgres: Postgres) -> None:
    """As by a server that is restarted in the middle of a transaction: its caller does not learn of it."""
    store = Store(postgres.create())
    cut: list[int] = []

    def add_after_cut(connection: Connection) -> str:
        if not cut:
            cut.append(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
            with store.reading() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid, 60000)"), {"pid": cut[0]})
        return str(add("a")(connection))

    results = await asyncio.gather(store.writer.run(add_after_cut), store.writer.run(add("b")))
    assert list(results) == ["a", "b"]
    assert cut
    assert names(store) == ["a", "b"]
    store.close()


async def test_writes_that_wait_are_done_before_the_store_is_closed(url: str) -> None:
    store = Store(url)
    waiting = [asyncio.ensure_future(store.writer.run(add(str(number)))) for number in range(50)]
    await asyncio.sleep(0)
    await asyncio.to_thread(store.close)
    await asyncio.gather(*waiting)
    again = Store(url)
    assert len(names(again)) == 50
    again.close()


async def test_store_that_is_closed_takes_no_write(url: str) -> None:
    store = Store(url)
    writer = store.writer
    store.close()
    with pytest.raises(StoreError, match="closed"):
        await asyncio.wait_for(writer.run(add("a")), DEADLINE_SECONDS)


async def test_caller_that_has_gone_takes_no_other_with_it(store: Store) -> None:
    go_on = threading.Event()
    held = asyncio.ensure_future(store.writer.run(lambda _: go_on.wait(DEADLINE_SECONDS)))
    gone, stays = (asyncio.ensure_future(store.writer.run(add(name))) for name in "ab")
    await asyncio.sleep(0)  # all three are in the writer's hands
    gone.cancel()
    go_on.set()
    assert await held
    assert await asyncio.wait_for(stays, DEADLINE_SECONDS) == "b"
    assert names(store) == ["a", "b"]


def test_caller_whose_loop_has_ended_takes_no_other_with_it(url: str) -> None:
    store = Store(url)
    go = threading.Event()

    def wait(connection: Connection) -> None:
        go.wait(60)

    async def leave() -> None:
        task = asyncio.ensure_future(store.writer.run(wait))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    go.set()
    assert asyncio.run(store.writer.run(add("a"))) == "a"
    store.close()


async def test_caller_that_wakes_the_thread_late_keeps_it_from_no_later_write(url: str) -> None:
    """The caller's write was taken along with one from another loop."""
    store = Store(url)
    wake = store.writer._wake
    late, taken = threading.Event(), threading.Event()

    class Late(threading.Condition):
        def __enter__(self) -> bool:
            if threading.current_thread() is caller:
                late.set()
                taken.wait(DEADLINE_SECONDS)
            return super().__enter__()

    caller = threading.Thread(target=lambda: asyncio.run(store.writer.run(add("late"))))
    wake.__class__ = Late
    caller.start()
    assert await asyncio.to_thread(late.wait, DEADLINE_SECONDS)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await store.writer.run(add("other"))
        await _is_waiting(wake)
        taken.set()
        await asyncio.to_thread(caller.join)
        await store.writer.run(add("next"))
    assert names(store) == ["late", "next", "other"]
    store.close()


async def _is_waiting(condition: threading.Condition) -> None:
    while not condition._waiters:  # type: ignore[attr-defined]
        await asyncio.sleep(0.001)
