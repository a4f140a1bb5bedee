"""The store of a running service, which outlives what happens to its database."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
from sqlalchemy import Connection, make_url

from lkhub.secret import Secret
from lkhub.service.errors import ApiError
from lkhub.store.errors import StoreError
from lkhub.store.lead import Lead
from lkhub.store.store import Store
from lkhub.wire.application import Store as StoreSettings

Item = TypeVar("Item")
Result = TypeVar("Result")

# While the store can't be used, it is tried as often as this, and not for each request.
RETRY_SECONDS = 1.0

# How often the log says so.
_TOLD_EVERY_SECONDS = 60.0


class Storage:
    """Opens the store when it is first needed, and again once it was gone. Every method raises ApiError with status 503
    while the store can't be used."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._store: Store | None = None
        self._lock = asyncio.Lock()
        self._was_open = False
        self._problem: StoreError | None = None
        self._tried = self._told = -_TOLD_EVERY_SECONDS

    async def write(self, handler: Callable[[Connection, Sequence[Item]], Sequence[Result]], item: Item) -> Result:
        """As Writer.run_batched."""
        store = self._store or await self._open()
        try:
            return await store.writer.run_batched(handler, item)
        except StoreError as error:
            raise await self._fail(error) from None

    async def run(self, operation: Callable[[Connection], Result]) -> Result:
        """As Writer.run."""
        store = self._store or await self._open()
        try:
            return await store.writer.run(operation)
        except StoreError as error:
            raise await self._fail(error) from None

    async def read(self, operation: Callable[[Connection], Result]) -> Result:
        """As Store.read."""
        store = self._store or await self._open()
        try:
            return await store.read(operation)
        except StoreError as error:
            raise await self._fail(error) from None

    async def make_lead(self) -> Lead:
        """As Store.make_lead."""
        return (self._store or await self._open()).make_lead()

    async def close(self) -> None:
        """Commit what waits, and close the store."""
        store, self._store = self._store, None
        if store is not None:
            await anyio.to_thread.run_sync(store.close)

    async def _open(self) -> Store:
        async with self._lock:
            if self._store is not None:
                return self._store
            if self._problem and time.monotonic() - self._tried < RETRY_SECONDS:
                raise _unavailable(self._problem)
            try:
                self._store = await anyio.to_thread.run_sync(self._open_now)
            except StoreError as error:
                self._tried = time.monotonic()
                raise await self._fail(error) from None
            self._problem, self._was_open = None, True
            return self._store

    def _open_now(self) -> Store:
        url, password = make_url(self._settings.url), None
        file = url.database if url.get_backend_name() == "sqlite" else None
        if self._was_open and file and not Path(file).exists():
            # A new store would be empty: no key would be known, and every seat free.
            raise StoreError("gone", f"{file} was removed")
        if self._settings.password:
            try:
                password = Secret(Path(self._settings.password).read_text().rstrip("\n"))
            except (OSError, ValueError):
                raise StoreError("refused", "its password can't be read") from None
        return Store(self._settings.url, password)

    async def _fail(self, error: StoreError) -> ApiError:
        now = time.monotonic()
        if now - self._told >= _TOLD_EVERY_SECONDS:
            self._told = now
            logging.getLogger("lkhub").error("%s", error)
        self._problem = error
        if error.problem == "gone":
            await self.close()
        return _unavailable(error)


def _unavailable(error: StoreError) -> ApiError:
    # Without its detail, which names a file or a database of this machine.
    hint = "ask again in a while; its operator sees more with `lkhub logs serve`"
    return ApiError(503, error.reason, hint, {"retry-after": "5"})
