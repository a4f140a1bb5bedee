"""Writing with few commits.

A commit that is on the disk takes milliseconds, and the writes in it microseconds. So one thread writes, and puts all
writes that wait into one transaction. A caller continues once its write is committed.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from lkhub.store.errors import StoreError, explain

Item = TypeVar("Item")
Result = TypeVar("Result")

# Bounds how long the first write of a transaction waits for the others.
MOST_TOGETHER = 500

# How long a transaction waits for as many writes as the last one had. Callers that were answered together ask again
# together; and the thread takes Python's lock some twenty times for a transaction, each time from the loop.
GATHER_SECONDS = 0.005

# More writes than ever wait.
_NEVER = 1 << 30


class _Write(Struct, frozen=True):
    """One write that waits: `handler` is called with the items of all that wait and have the same handler."""

    handler: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    item: Any
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[Any]"


class Writer:
    """The thread that writes to one store. `check` raises StoreError where commits are lost."""

    def __init__(self, engine: Engine, check: Callable[[], None]) -> None:
        self._engine, self._check = engine, check
        self._waiting: deque[_Write] = deque()
        self._wake = threading.Condition()
        self._wanted = _NEVER
        self._closed = False
        self._last = 0
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    async def run(self, operation: Callable[[Connection], Result]) -> Result:
        """Call `operation` in a transaction, and return once it is committed.

        Raises what `operation` raises, and StoreError. The operation may be called again after its transaction failed,
        so it has no effect but on the connection.
        """

        def handle(connection: Connection, items: Sequence[None]) -> Sequence[Result]:
            return [operation(connection) for _ in items]

        return await self.run_batched(handle, None)

    async def run_batched(
        self, handler: Callable[[Connection, Sequence[Item]], Sequence[Result]], item: Item
    ) -> Result:
        """As `run`, for a handler that does many items at once with few statements: it gets the items that wait, and
        returns as many results, in their order."""
        loop = asyncio.get_running_loop()
        write = _Write(handler, item, loop, loop.create_future())
        if self._closed:
            raise StoreError("gone", "it is being closed")
        self._waiting.append(write)
        if len(self._waiting) >= self._wanted:
            with self._wake:
                # Unless the thread has taken it meanwhile, woken by another loop, and waits for the next one.
                if len(self._waiting) >= self._wanted:
                    self._wanted = _NEVER
                    self._wake.notify()
        return await write.done  # type: ignore[no-any-return]

    def close(self) -> None:
        """Do what waits, and end the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._wake:
                self._await(1)
                self._await(self._last, GATHER_SECONDS)
                writes = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))]
            if not writes:
                return
            self._last = len(writes)
            try:
                results = self._commit_again(writes)
            except StoreError as error:  # it would fail all of them alike, each after the same wait
                results = [error] * len(writes)
            except BaseException:  # one of them failed: which one, and what with the others?
                results = [self._commit_alone(write) for write in writes]
            _answer(writes, results)

    def _await(self, count: int, seconds: float | None = None) -> None:
        """Wait until as many writes wait, for some seconds at most."""
        self._wanted = count
        self._wake.wait_for(lambda: len(self._waiting) >= count or self._closed, seconds)
        self._wanted = _NEVER

    def _commit_again(self, writes: Sequence[_Write]) -> list[Any]:
        """Commit, on a new connection where the database was restarted meanwhile. Raises StoreError where the store
        can't be used, and what the writes raise."""
        try:
            try:
                return self._commit(writes)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                # The pool has forgotten all of its connections by now.
                return self._commit(writes)
        except SQLAlchemyError as error:
            explained = explain(error, self._engine.url)
            if explained.problem == "failed":
                raise
            raise explained from None

    def _commit(self, writes: Sequence[_Write]) -> list[Any]:
        self._check()
        groups: dict[Any, list[int]] = {}
        for index, write in enumerate(writes):
            groups.setdefault(write.handler, []).append(index)
        results: list[Any] = [None] * len(writes)
        with self._engine.begin() as connection:
            for handler, indexes in groups.items():
                found = handler(connection, [writes[index].item for index in indexes])
                for index, result in zip(indexes, found, strict=True):
                    results[index] = result
        # Again, since the file may have been removed while it was written to.
        self._check()
        return results

    def _commit_alone(self, write: _Write) -> Any:
        """The result of one write, or its error."""
        try:
            return self._commit_again([write])[0]
        except SQLAlchemyError as error:
            return explain(error, self._engine.url)
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, StopIteration):
                return error
            # No future takes StopIteration, and the others would end the caller's loop.
            return RuntimeError(f"a write ended with {type(error).__name__}")


def _answer(writes: Sequence[_Write], results: Sequence[Any]) -> None:
    """Let the callers continue. Each loop is woken once: waking it takes as long as a few writes."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for write, result in zip(writes, results, strict=True):
        loops.setdefault(write.loop, []).append((write.done, result))
    for loop, settled in loops.items():
        with suppress(RuntimeError):  # its loop has ended, and its callers with it; the others are answered
            loop.call_soon_threadsafe(_settle, settled)


def _settle(settled: Iterable[tuple["asyncio.Future[Any]", Any]]) -> None:
    for done, result in settled:
        if done.cancelled():
            continue
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)
