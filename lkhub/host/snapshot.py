"""A copy of a file of SQLite as it is at one moment, while others write to it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import quote

from lkhub.errors import MachineError
from lkhub.host.files import FREE_SPACE, explain_os_errors, require_space
from lkhub.host.half_written import make_half_written, remove_left

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
        hints = (FREE_SPACE,) if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL else ()
        raise MachineError(f"can't copy the store {file}: {error}", hints=hints) from None
    if found != "ok":
        raise MachineError(f"the store {file} is damaged, and is not backed up: {found}")


@contextmanager
def copied_beside(file: str) -> Iterator[str]:
    """A copy of the database `file` beside it, for as long as the block runs. What was left of others, by processes
    that were killed, is removed. Raises MachineError."""
    folder, name = os.path.split(file)
    with explain_os_errors(folder, "write in"):
        remove_left(folder, name)
        # What is in the log too, which the copy has in its pages.
        needed = sum(os.path.getsize(path) for path in (file, f"{file}-wal") if os.path.exists(path))
        require_space(folder, needed, "the copy of the store")
        handle, copy = make_half_written(file)
    try:
        copy_database(file, copy)
        yield copy
    finally:
        with suppress(OSError):  # the next copy removes it
            os.unlink(copy)
        os.close(handle)
        remove_left(folder, name)
