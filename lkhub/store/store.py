"""The store as programs use it: the service writes through one thread, a command in transactions of its own."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from lkhub.secret import Secret
from lkhub.store.errors import StoreError, explain
from lkhub.store.lead import FileLead, Lead, LeadOf, ServerLead
from lkhub.store.open import open_store
from lkhub.store.threads import run_to_end
from lkhub.store.writer import Writer

Result = TypeVar("Result")


class Store:
    """An open store. Every method raises StoreError where the store can't be used. For `made` see `open_store`."""

    def __init__(self, url: str, password: Secret | None = None, *, made: bool = False) -> None:
        self._engine = open_store(url, password, made=made)
        self._readers = self._engine.execution_options(reads=True)
        name = self._engine.url.database
        self._file = Path(name) if self.is_sqlite and name else None
        self._identity = _identify(self._file) if self._file else None
        self._log = _identify(self._log_file) if self._file else None
        self._index = _identify(self._index_file) if self._file else None
        self._writer: Writer | None = None
        self._uses, self._closed = 0, False
        self._unused = threading.Condition()

    @property
    def is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    @property
    def writer(self) -> Writer:
        """The thread that writes. It is started when it is first used."""
        if self._writer is None:
            self._writer = Writer(self._engine, self.require_present)
        return self._writer

    def make_lead(self, of: LeadOf) -> Lead:
        """The right to do what one process alone may do. It is not taken yet. Its methods wait for the database."""
        return FileLead(str(self._file), of) if self._file else ServerLead(self._engine, of)

    def require_present(self) -> None:
        """Raise StoreError where the file, or one of SQLite's beside it, is another one than was opened. SQLite would
        go on writing to a file that was deleted, and all of it would be lost at the end. Processes with different
        indexes of one log do not see what the others write, and write over it."""
        if not self._is_present():
            raise StoreError("gone", f"{self._file} was removed or replaced")
        if not self._has_log():
            raise StoreError("gone", f"{self._log_file} was removed or replaced")
        if not self._has_index():
            raise StoreError("gone", f"{self._index_file} was removed or replaced")

    def _is_present(self) -> bool:
        return self._file is None or (self._identity is not None and _identify(self._file) == self._identity)

    def _has_log(self) -> bool:
        return self._file is None or _identify(self._log_file) == self._log

    def _has_index(self) -> bool:
        return self._file is None or _identify(self._index_file) == self._index

    @property
    def _log_file(self) -> Path:
        return Path(f"{self._file}-wal")

    @property
    def _index_file(self) -> Path:
        return Path(f"{self._file}-shm")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction, for a program that waits for it."""
        self.require_present()
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise explain(error, self._engine.url) from None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A view of the store at one moment. What it writes is refused or lost."""
        try:
            with self._used():
                self.require_present()
                with self._readers.connect() as connection:
                    yield connection
        except SQLAlchemyError as error:
            raise explain(error, self._engine.url) from None

    @contextmanager
    def _used(self) -> Iterator[None]:
        with self._unused:
            if self._closed:
                raise StoreError("gone", "it is being closed")
            self._uses += 1
        try:
            yield
        finally:
            with self._unused:
                self._uses -= 1
                self._unused.notify_all()

    async def read(self, operation: Callable[[Connection], Result]) -> Result:
        """Call `operation` with a view of the store, in a thread."""

        def run() -> Result:
            with self.reading() as connection:
                return operation(connection)

        return await run_to_end(run)

    def close(self) -> None:
        """Commit what waits, and close every connection."""
        if self._writer is not None:
            self._writer.close()
        with self._unused:
            self._closed = True
            if self._file:
                # A connection that is in use is closed only later. Until then SQLite gives its index, also one that was
                # removed, to every connection of this process; and opening the file anew drops its locks.
                self._unused.wait_for(lambda: not self._uses)
        if not self._is_present() or not self._has_log():
            self._take_log_along()
        self._engine.dispose()

    def _take_log_along(self) -> None:
        """Leave no log where another file was put, or will be. SQLite leaves it there, and whoever opens the other
        file next would apply it to that file. A file that was only moved, or whose log was removed, gets what the log
        has."""
        if not self._engine.pool.checkedin():  # type: ignore[attr-defined]  # a new connection would open the other file
            return
        with suppress(SQLAlchemyError, sqlite3.Error, OSError), closing(self._engine.raw_connection()) as connection:
            with closing(connection.cursor()) as cursor:
                busy, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy and _identify(self._log_file) == self._log:
                self._log_file.unlink()
                self._index_file.unlink()


def _identify(file: Path) -> tuple[int, int] | None:
    """The identity of a file; None where there is none."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino
