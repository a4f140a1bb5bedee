"""A copy of a file of SQLite as it is at one moment, while others write to it."""

import sqlite3
from contextlib import closing
from urllib.parse import quote

from lkhub.errors import MachineError

# How long a copy waits for a process that holds the whole file, as for its last seconds one does at its end.
_LOCKED_SECONDS = 10.0


def copy_database(file: str, target: str) -> None:
    """Copy the database `file` to the empty file `target`, and check the copy. Others read and write meanwhile. Raises
    MachineError."""
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(file)}?mode=ro", uri=True, timeout=_LOCKED_SECONDS)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            # All pages in one step: with several, a write in between would begin the copy anew.
            source.backup(copy)
            # Without a log of its own beside it, the copy is one file.
            copy.execute("PRAGMA journal_mode = DELETE")
            found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise MachineError(f"can't copy the store {file}: {error}") from None
    if found != "ok":
        raise MachineError(f"the store {file} is damaged, and is not backed up: {found}")
