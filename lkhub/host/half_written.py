"""Files that are written beside their place, and get their name when they are whole. Each is locked meanwhile, so what
a killed process has left can be told from what another one is writing."""

import contextlib
import fcntl
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator

_SUFFIX = ".part"

# With what mkstemp puts in the middle, and what SQLite writes beside a database.
_NAME = re.compile(rf"\.(?P<whole>.+)\.[a-z0-9_]{{8}}{re.escape(_SUFFIX)}(?P<beside>-journal|-wal|-shm)?")

# Where the file system has no locks.
_MAY_BE_WRITTEN_SECONDS = 60.0


def name_whole(name: str) -> str | None:
    """The name that a half written file is to get, by its own name; None where that is no such name."""
    found = _NAME.fullmatch(name)
    return found["whole"] if found else None


def make_half_written(path: str) -> tuple[int, str]:
    """Make an empty file beside `path`, readable by this user alone, and locked until its descriptor is closed. Returns
    the descriptor and the path. Raises OSError."""
    folder, name = os.path.split(path)
    while True:
        handle, made = tempfile.mkstemp(dir=folder or None, prefix=f".{name}.", suffix=_SUFFIX)
        with contextlib.suppress(OSError):  # no locks there
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.lstat(made)):
                return handle, made
        # Another process took it for one that was left, in the moment before it was locked.
        os.close(handle)


def remove_left(folder: str, whole: str) -> None:
    """Remove what processes of this user that were killed have left of the file named `whole` in a folder. What can't
    be removed is left."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if name_whole(entry.name) == whole:
                remove_if_left(entry.path)


def remove_if_left(path: str) -> None:
    """Remove a half written file of this user's, unless a process is writing it. One that can't be removed is left."""
    found = _NAME.fullmatch(os.path.basename(path))
    database = path.removesuffix(found["beside"] or "") if found else path
    with contextlib.suppress(OSError), _locked(database):
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
            os.unlink(path)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Raises OSError where a process is writing the file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:  # of a database, what was beside it is left
        yield
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            if time.time() - os.fstat(handle).st_mtime < _MAY_BE_WRITTEN_SECONDS:
                raise
        yield
    finally:
        os.close(handle)
