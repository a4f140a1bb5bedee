"""Rotation of log files by size."""

import contextlib
import errno
import io
import os
import shutil

from lkhub.errors import MachineError
from lkhub.host.files import FILE_MODE, explain_os_errors

# Enough for days of a quiet hub, and little on a small disk: at most four files of each process.
MAX_BYTES = 10 * 1024 * 1024
KEPT = 3

# Logs are looked at every two seconds. One that is so many times as large as it may be is written without a pause, as
# by an agent: its end alone is kept, since a copy of all would fill the disk.
FLOOD = 2


def rotate_logs(paths: list[str]) -> None:
    """Rotate the large ones. Raises MachineError with the reasons of all that could not be rotated."""
    problems = []
    for path in paths:
        try:
            rotate_log(path)
        except MachineError as error:
            problems.append(error.message)
    if problems:
        raise MachineError("\n".join(problems))


def rotate_log(path: str, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> bool:
    """Move the content of a large log to `path.1` (and `.1` to `.2`, …) and empty the file. Returns whether it was
    large.

    The file is copied and truncated, not renamed: the process that writes it has it open in append mode and goes on at
    the new end. Lines written during the copy are lost, as with logrotate's copytruncate. On a full disk the oldest log
    is removed to make room. If that is not enough, all logs stay, and only later lines are lost. Of a log over FLOOD
    times `max_bytes`, the last lines are kept where there is room for them.
    """
    with explain_os_errors(path, "rotate"):
        try:
            size = os.path.getsize(path)
        except FileNotFoundError:
            return False
        if size <= max_bytes:
            return False
        most = FLOOD * max_bytes
        with open(path, "rb") as file:
            file.seek(max(0, size - most))
            content = file.read(most)  # its process may write faster than it can be copied
        if size > most:
            os.truncate(path, 0)
        # No log is removed or renamed until the copy is complete.
        copy = f"{path}.new"
        try:
            _copy(content, path, copy, kept)
            for number in range(kept - 1, 0, -1):
                if os.path.exists(f"{path}.{number}"):
                    os.replace(f"{path}.{number}", f"{path}.{number + 1}")
            os.replace(copy, f"{path}.1")
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(copy)
        os.truncate(path, 0)
    return True


def _copy(content: bytes, path: str, copy: str, kept: int) -> None:
    try:
        _copy_once(content, copy)
    except OSError as error:
        oldest = next((f"{path}.{n}" for n in range(kept, 0, -1) if os.path.exists(f"{path}.{n}")), None)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or oldest is None:
            raise
        with contextlib.suppress(FileNotFoundError):
            os.unlink(copy)
        # The oldest log is not removed if that would not make enough room.
        if shutil.disk_usage(os.path.dirname(path)).free + os.path.getsize(oldest) < len(content):
            raise
        os.unlink(oldest)
        _copy_once(content, copy)


def _copy_once(content: bytes, copy: str) -> None:
    handle = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(handle, "wb") as target:
        shutil.copyfileobj(io.BytesIO(content), target)
