"""What can be wrong with the store, in words for people."""

import errno
import sqlite3
from typing import Any, Literal, TypeAlias

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from lkhub.errors import MachineError

Problem: TypeAlias = Literal["newer", "locked", "full", "corrupted", "gone", "refused", "foreign", "encoding", "failed"]
"""`failed` is a statement that fails by itself. Every other problem is one of the store, whatever is asked of it."""

# SQLite's primary result codes (sqlite.org/rescode.html).
_SQLITE: dict[int, Problem] = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_CORRUPT: "corrupted",
    sqlite3.SQLITE_NOTADB: "corrupted",
    sqlite3.SQLITE_IOERR: "gone",
    sqlite3.SQLITE_CANTOPEN: "gone",
    sqlite3.SQLITE_READONLY: "refused",
    sqlite3.SQLITE_PERM: "refused",
}

# PostgreSQL's codes, and classes of them (its documentation, appendix A).
_POSTGRES: dict[str, Problem] = {
    "08": "gone",
    "25006": "refused",  # it takes no writes, as a replica
    "28": "refused",
    "3D": "gone",
    "42501": "refused",  # since PostgreSQL 15 only the owner of a database may make tables in it
    "53": "gone",  # too many connections, for example
    "53100": "full",
    "55P03": "locked",
    "57": "gone",
    "58": "gone",  # its disk fails
    "XX": "corrupted",
}

# What PostgreSQL says before there is a connection has no code. In another language it is "gone".
_POSTGRES_WORDS: dict[str, Problem] = {
    "authentication failed": "refused",
    "no password supplied": "refused",
    "no pg_hba.conf entry": "refused",
}

# Why there is no connection, by what libpq and psycopg say of it. Their own text is not repeated. A host with several
# addresses has a failure for each: what a server said comes first, then that none listens at another address.
_NO_CONNECTION = {
    "root certificate file": "the file with the authority of its certificate does not exist (sslrootcert)",
    "no password supplied": "it wants a password",
    "authentication failed": "user or password is wrong",
    "no pg_hba.conf entry": "its pg_hba.conf does not let this machine in",
    "does not exist": "there is no such database, or no such user",
    "refused": "the connection is refused: PostgreSQL does not listen there",
    "resolve": "the name of the host leads nowhere",
    "translate host name": "the name of the host leads nowhere",
    "No such file": "there is no such socket: PostgreSQL does not run here",
    "timeout": "no answer",
}

_OS: dict[int, Problem] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "refused",
    errno.EACCES: "refused",
    errno.EPERM: "refused",
}

_WORDS: dict[Problem, str] = {
    "newer": "the store was written by a newer lkhub",
    "locked": "another program holds the store locked",
    "full": "the store has no space left",
    "corrupted": "the store is damaged",
    "gone": "the store can't be reached",
    "refused": "the store refuses to be used",
    "foreign": "the store belongs to another hub",
    "encoding": "the store can't keep every name",
    "failed": "the store does not work",
}


class StoreError(MachineError):
    """The store can't be used now. `problem` is why; the text has no secret. `reason` is the text without the detail,
    which names files of the machine."""

    def __init__(self, problem: Problem, detail: str = "") -> None:
        self.problem, self.reason = problem, _WORDS[problem]
        super().__init__(f"{self.reason}{f': {detail}' if detail else ''}")


def name_database(url: URL) -> str:
    """The file, or the database with its user and server, without the password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    user = f" as {url.username}" if url.username else ""
    server = f"{url.host or url.query.get('host') or 'the local socket'}:{url.port or url.query.get('port') or 5432}"
    return f"{url.database} at {server}{user}"


def explain(error: SQLAlchemyError, url: URL) -> StoreError:
    """What an error of SQLAlchemy means for this database. Parameters of statements are not repeated, and neither is a
    driver's own text, which may hold the URL."""
    name = name_database(url)
    original: Any = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(original, sqlite3.Error):
        # Extended codes have the primary code in their last byte. A driver's own errors have none.
        code = getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        return StoreError(_SQLITE.get(code, "failed"), name)
    if state := getattr(original, "sqlstate", None):
        why = ": this user may not make or use tables there" if state == "42501" else f" (code {state})"
        return StoreError(_POSTGRES.get(state) or _POSTGRES.get(state[:2], "failed"), f"{name}{why}")
    # Of psycopg, which has no code where it can't connect; it is not loaded for a file of SQLite.
    if any(kind.__name__ == "OperationalError" for kind in type(original).__mro__):
        found = (problem for words, problem in _POSTGRES_WORDS.items() if words in str(original))
        why = next((f": {why}" for words, why in _NO_CONNECTION.items() if words in str(original)), "")
        return StoreError(next(found, "gone"), f"{name}{why}")
    # All connections have been waiting for the server.
    problem: Problem = "gone" if isinstance(error, PoolTimeoutError) else "failed"
    return StoreError(problem, f"{name} ({type(original or error).__name__})")


def explain_os(error: OSError, name: str) -> StoreError:
    """What the system's error on the file `name` means."""
    problem = _OS.get(error.errno or 0, "gone")
    return StoreError(problem, f"{name} can't be opened: {(error.strerror or str(error)).lower()}")
