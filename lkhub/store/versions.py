"""Which schema a file of SQLite has, read without SQLAlchemy."""

import sqlite3
from contextlib import closing
from typing import NamedTuple


class Versions(NamedTuple):
    """The `schema` of the store, and the oldest schema whose lkhub can use it (`since`)."""

    schema: str
    since: str


def read_versions(file: str) -> Versions | None:
    """The versions of a store that no process writes to; None where it is no store."""
    try:
        with closing(sqlite3.connect(file)) as connection:
            schema = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            since = connection.execute("SELECT since FROM usable").fetchone()
    except sqlite3.Error:
        return None
    return Versions(schema[0], since[0]) if schema and since else None
