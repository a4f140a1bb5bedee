"""The store of a running service, which outlives what happens to its database."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection

from lkhub.errors import MachineError
from lkhub.host.placed_secret import read_placed
from lkhub.service.errors import ApiError
from lkhub.service.ownership import Ownership
from lkhub.service.store_state import StoreState
from lkhub.store.errors import Problem, StoreError
from lkhub.store.lead import Lead, LeadOf
from lkhub.store.sound import check_whole, look, try_out
from lkhub.store.store import Store
from lkhub.store.threads import run_to_end
from lkhub.store.writer import Writer
from lkhub.wire.application import Store as StoreSettings

Item = TypeVar("Item")
Result = TypeVar("Result")

# While the store can't be used, it is tried as often as this, and not for each request.
RETRY_SECONDS = 1.0

# How often it is seen whether the store can be used, if no request needs it.
WATCH_SECONDS = 5.0

# How often the log says so.
_TOLD_EVERY_SECONDS = 60.0

# They end while the store is open. After any other problem it is opened anew: with another file, another password.
_PASSING: frozenset[Problem] = frozenset(("locked", "full", "failed"))

log = logging.getLogger("lkhub")


class Storage:
    """Opens the store when it is first needed, and again once it was gone. Every method raises ApiError with status 503
    while the store can't be used. `state` is told when that begins, when the reason changes, and when it ends."""

    def __init__(self, settings: StoreSettings, state: StoreState | None = None) -> None:
        self._settings, self._state = settings, state or StoreState()
        self._ownership = Ownership(settings.hub) if settings.hub else None
        self._store: Store | None = None
        self._lock, self._closing = asyncio.Lock(), asyncio.Lock()
        self._problem: StoreError | None = None
        self._telling = anyio.CapacityLimiter(1)
        self._tried = self._told = -_TOLD_EVERY_SECONDS

    async def write(self, handler: Callable[[Connection, Sequence[Item]], Sequence[Result]], item: Item) -> Result:
        """As Writer.run_batched."""
        return await self._commit(lambda writer: writer.run_batched(handler, item))

    async def run(self, operation: Callable[[Connection], Result]) -> Result:
        """As Writer.run."""
        return await self._commit(lambda writer: writer.run(operation))

    async def _commit(self, write: Callable[[Writer], Awaitable[Result]]) -> Result:
        store = self._store or await self._open()
        try:
            result = await write(store.writer)
        except StoreError as error:
            raise await self._fail(error, store) from None
        if self._problem:
            await self._note_written()
        return result

    async def read(self, operation: Callable[[Connection], Result]) -> Result:
        """As Store.read."""
        store = self._store or await self._open()
        try:
            return await store.read(operation)
        except StoreError as error:
            raise await self._fail(error, store) from None

    async def watch(self) -> None:
        """See now and then whether the store can be used, until cancelled: so its trouble is known before a request
        needs it, and its end too."""
        while True:
            try:
                await self._look()
            except ApiError:
                pass  # it was told
            except Exception:
                log.exception("the store was not looked at")
            await self._tell(self._state.told.catch_up)
            await asyncio.sleep(WATCH_SECONDS)

    async def _look(self) -> None:
        if self._problem and self._problem.problem == "corrupted":
            await self.read(check_whole)
            await self._recover()
        elif self._problem:
            await self.run(try_out)
        elif self._ownership:
            await self.run(self._ownership.check)
        else:
            await self.read(look)

    async def make_lead(self, of: LeadOf) -> Lead:
        """As Store.make_lead."""
        return (self._store or await self._open()).make_lead(of)

    async def close(self) -> None:
        """Commit what waits, and close the store."""
        store, self._store = self._store, None
        if store is not None:
            # Connections of one process to one file share its index, also one that was removed.
            async with self._closing if store.is_sqlite else nullcontext():
                await anyio.to_thread.run_sync(store.close)

    async def _open(self) -> Store:
        async with self._lock:
            if self._store is not None:
                return self._store
            if self._problem and time.monotonic() - self._tried < RETRY_SECONDS:
                raise _unavailable(self._problem)
            async with self._closing:
                pass
            try:
                store = await run_to_end(self._open_now)
            except StoreError as error:
                self._tried = time.monotonic()
                raise await self._fail(error, None) from None
            if not self._state.made:
                await self._tell(self._state.note_success)
            return store

    def _open_now(self) -> Store:
        try:
            password = read_placed(self._settings.password) if self._settings.password else None
        except MachineError:
            raise StoreError("refused", "its password can't be read") from None
        store = Store(self._settings.url, password, made=self._state.made)
        if self._ownership:
            try:
                with store.writing() as connection:
                    self._ownership.check(connection)
            except StoreError:
                store.close()
                raise
        self._store = store  # in here: a request that is cancelled meanwhile leaves it to the next one
        return store

    async def _fail(self, error: StoreError, store: Store | None) -> ApiError:
        if store is not self._store:  # it was closed meanwhile, for a reason that is known
            return _unavailable(self._problem or error)
        now = time.monotonic()
        if now - self._told >= _TOLD_EVERY_SECONDS:
            self._told = now
            log.error("%s", error)
        self._problem = error
        # To the end, also where the client of this caller leaves meanwhile. It is told first, since a connection that
        # hangs takes seconds to close; and each time, since asyncio's own cancelling may come before it is written.
        with anyio.CancelScope(shield=True):
            await self._tell(self._note)
            if error.problem not in _PASSING and store is self._store:
                await self.close()
        return _unavailable(error)

    async def _note_written(self) -> None:
        # Some of a damaged store can be written.
        if self._problem and self._problem.problem != "corrupted":
            await self._recover()

    async def _recover(self) -> None:
        self._problem, self._told = None, -_TOLD_EVERY_SECONDS
        log.warning("the store can be used again")
        await self._tell(self._state.note_success)

    def _note(self) -> None:
        """What is so by now: while one store was closed, another may have been opened, and been used."""
        if problem := self._problem:
            self._state.note_failure(problem)
        else:
            self._state.note_success()

    async def _tell(self, note: Callable[[], None]) -> None:
        """One after another, in the order of what happens."""
        await anyio.to_thread.run_sync(note, limiter=self._telling)


def _unavailable(error: StoreError) -> ApiError:
    # Without its detail, which names a file or a database of this machine.
    hint = "ask again in a while; its operator sees more with `lkhub status`"
    return ApiError(503, error.reason, hint, {"retry-after": "5"})
