"""What one process alone may do for a store, of all that have it open."""

import fcntl
import os
from typing import Literal, Protocol, TypeAlias

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from lkhub.store.locks import Lock

LeadOf: TypeAlias = Literal["webhooks", "presets"]
"""What is led: deliveries of webhooks, and what open rooms get from their presets."""

_LOCKS: dict[LeadOf, Lock] = {"webhooks": Lock.LEAD_WEBHOOKS, "presets": Lock.LEAD_PRESETS}


class Lead(Protocol):
    """The right to lead. It ends with the process, however that ends."""

    def take(self) -> bool:
        """Whether this process leads: it did before, or no other process does."""

    def release(self) -> None:
        """Let another process lead."""


class FileLead(Lead):
    """The lead for a file of SQLite: the lock of a file beside it."""

    def __init__(self, store: str, of: LeadOf) -> None:
        self._path = f"{store}-{of}-lead"
        self._file: int | None = None

    def take(self) -> bool:
        if self._file is not None:
            return True
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class ServerLead(Lead):
    """The lead for a database of PostgreSQL: a lock of one session, which is asked again each time."""

    def __init__(self, engine: Engine, of: LeadOf) -> None:
        self._engine, self._lock = engine, _LOCKS[of]
        self._session: Connection | None = None

    def take(self) -> bool:
        try:
            if self._session is None:
                self._session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                if not self._session.execute(
                    text("SELECT pg_try_advisory_lock(:lock)"), {"lock": int(self._lock)}
                ).scalar():
                    self.release()
                    return False
            self._session.execute(text("SELECT 1"))
        except SQLAlchemyError:
            self.release()
            return False
        return True

    def release(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.invalidate()  # a session that goes back to the pool would keep the lock
            session.close()
