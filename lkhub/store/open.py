"""Opening the store: a file of SQLite, or a database of PostgreSQL.

The store's version is looked up without Alembic, which takes 80 ms to load and 9 MiB, and has nothing to do at most
starts.
"""

import fcntl
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError

from lkhub.secret import Secret
from lkhub.store.errors import StoreError, explain, explain_os, name_database
from lkhub.store.locks import Lock
from lkhub.store.schema import usable

# How long a statement waits for another process that writes, in seconds.
LOCKED_SECONDS = 5.0

# How long a server of PostgreSQL may take to let a connection in, and for how long its machine may be silent while an
# answer is waited for. Without them, the system decides: minutes for what was sent, and two hours for an answer.
CONNECT_SECONDS = 5
SILENT_SECONDS = 10

_LOOK_SECONDS = 0.05

# The bytes of a file that each user of it locks.
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510

SQLITE = "sqlite:///"
"""How the URL of a file begins. What follows is its name, nothing of which is escaped."""

VERSION = "0001"
"""The version of the schema: the last step in `migrations/versions`."""


def open_store(url: str, password: Secret | None = None, *, made: bool = False) -> Engine:
    """Connect to the store and bring it to this version's schema, unless a newer lkhub brought it to one that this
    version can use. Raises StoreError.

    `url` is SQLAlchemy's, without a password. `made`: the store was there before. Then a file of SQLite that is gone
    or empty is not made anew: no key would be known, and every seat free.
    """
    target = _parse(url)
    if password is not None:
        target = target.set(password=password.reveal())
    engine = _prepare_sqlite(target, made=made) if target.get_backend_name() == "sqlite" else _prepare_postgres(target)
    try:
        with engine.begin() as connection:
            _upgrade(connection, made=made)
    except SQLAlchemyError as error:
        engine.dispose()
        raise explain(error, target) from None
    except StoreError:
        engine.dispose()
        raise
    return engine


def _parse(url: str) -> URL:
    """SQLAlchemy would take `?` in the name of a file for the begin of a query, and `%2F` for a slash."""
    file = url.removeprefix(SQLITE)
    return make_url(url) if file == url else URL.create("sqlite", database=file)


def _prepare_sqlite(target: URL, *, made: bool) -> Engine:
    file = Path(str(target.database))
    _ensure_private(file, made=made)

    def connect() -> sqlite3.Connection:
        # With `mode=rw` a later connection does not create the file anew where it was removed meanwhile.
        uri = f"file:{quote(str(file))}?mode=rw"
        return sqlite3.connect(uri, uri=True, timeout=LOCKED_SECONDS, check_same_thread=False)

    engine = create_engine(target, creator=connect)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_writing)
    return engine


def _ensure_private(file: Path, *, made: bool) -> None:
    """SQLite makes the files beside the database with the mode of the database."""
    try:
        opened = os.open(file, os.O_RDWR | (0 if made else os.O_CREAT), 0o600)
    except OSError as error:
        if made and isinstance(error, FileNotFoundError):
            raise StoreError("gone", f"{file} was removed") from None
        raise explain_os(error, str(file)) from None
    try:
        _await_index(file, opened)
    finally:
        os.close(opened)


def _await_index(file: Path, opened: int) -> None:
    """Wait while another process uses the file, and the index of its log was removed. SQLite would make another one,
    and what is written with that is lost: the other process removes the log at its end, of which it knows only what
    its own index has. A service sees within seconds that its index is gone. Raises StoreError."""
    end = time.monotonic() + LOCKED_SECONDS
    while os.path.exists(f"{file}-wal") and not os.path.exists(f"{file}-shm") and _is_used(opened):
        if time.monotonic() >= end:
            raise StoreError("gone", f"{file}-shm was removed, and another process uses {file}")
        time.sleep(_LOOK_SECONDS)


def _is_used(opened: int) -> bool:
    """Whether another process has the file open in SQLite, which locks these bytes (SHARED_FIRST of its os.h)."""
    try:
        fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
    except OSError:
        return True
    fcntl.lockf(opened, fcntl.LOCK_UN, _SHARED_SIZE, _SHARED_FIRST)
    return False


def _prepare_postgres(target: URL) -> Engine:
    waits = {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": SILENT_SECONDS * 1000,
        "keepalives_idle": SILENT_SECONDS // 2,
        "keepalives_interval": SILENT_SECONDS // 2,
        "keepalives_count": 1,
    }
    arguments: dict[str, int | str] = {name: value for name, value in waits.items() if name not in target.query}
    # Else it is the database's own, and psycopg gives bytes for text where that is SQL_ASCII.
    arguments["client_encoding"] = "UTF8"
    pool = {"pool_pre_ping": True, "pool_size": 4, "max_overflow": 4, "pool_timeout": SILENT_SECONDS}
    engine = create_engine(target, connect_args=arguments, **pool)
    event.listen(engine, "do_connect", _connect_postgres)
    event.listen(engine, "connect", _set_up_postgres)
    return engine


def _connect_postgres(
    dialect: object,
    record: object,
    arguments: Any,
    options: dict[str, Any],  # psycopg's
) -> Any:
    # Imported here: psycopg costs 80 ms, which a file of SQLite does without.
    from lkhub.store.postgres import BoundedConnection

    return BoundedConnection.connect(*arguments, **options)


def _set_up_postgres(connection: Any, _: object) -> None:
    settings = {
        "lock_timeout": int(LOCKED_SECONDS * 1000),
        # A client that vanished, or whose network was cut, leaves a session with its locks behind. The server by itself
        # asks after two hours whether the client lives, and until then no other process could lead.
        "tcp_user_timeout": SILENT_SECONDS * 1000,
        "tcp_keepalives_idle": SILENT_SECONDS // 2,
        "tcp_keepalives_interval": SILENT_SECONDS // 2,
        "tcp_keepalives_count": 1,
    }
    with connection.cursor() as cursor:
        for name, value in settings.items():
            cursor.execute(f"SET {name} = {value}")
    connection.commit()  # or a rollback would take it back


def _set_up_sqlite(connection: Any, _: object) -> None:
    # The driver begins no transaction by itself: it would begin one too late, and only to read.
    connection.isolation_level = None
    with closing(connection.cursor()) as cursor:
        cursor.execute("PRAGMA journal_mode = WAL")
        # A commit is on the disk when it returns, also where the power fails.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")


def _begin_writing(connection: Connection) -> None:
    """Take the lock for writing at once: a transaction that reads first and writes then could not get it any more
    after another process has written. Readers are not locked out, and say so with the option `reads`."""
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("reads") else "BEGIN IMMEDIATE")


def _upgrade(connection: Connection, *, made: bool) -> None:
    if connection.dialect.name == "postgresql":
        _require_unicode(connection)
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": int(Lock.UPGRADE)})
    found = _find_version(connection)
    if found == VERSION:
        return
    if found is None and made and connection.dialect.name == "sqlite":
        raise StoreError("gone", f"{connection.engine.url.database} is empty")
    if found is not None and found > VERSION:
        if (since := connection.execute(select(usable.c.since)).scalar()) and since <= VERSION:
            return
        raise StoreError("newer", f"it has version {found}, and this lkhub knows versions up to {VERSION}")
    # Imported here: it costs 80 ms, and most starts do without.
    from lkhub.store.upgrade import upgrade

    upgrade(connection)


def _require_unicode(connection: Connection) -> None:
    """PostgreSQL makes databases in the encoding of its machine's locale, which is SQL_ASCII where none is set."""
    encoding = connection.execute(text("SHOW server_encoding")).scalar()
    if encoding != "UTF8":
        raise StoreError("encoding", f"{name_database(connection.engine.url)} has the encoding {encoding}")


def _find_version(connection: Connection) -> str | None:
    """The version that Alembic noted; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
