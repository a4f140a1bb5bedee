"""The lock of a state directory, so that it has only one supervisor."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from lkhub.errors import MachineError
from lkhub.host.files import check_socket_path, ensure_private_dir, explain_os_errors, open_lock
from lkhub.host.state_directory import ensure_state_dir
from lkhub.plan.paths import StatePaths

# `lkhub down && lkhub up`: the supervisor that was told to stop is still leaving.
LOCK_SECONDS = 5.0


class Lock:
    """Held by this process. The kernel lets go of it when the process ends, however it ends."""

    def __init__(self, paths: StatePaths, seconds: float) -> None:
        self._paths = paths
        self._handle = _open(paths, seconds)

    def is_lost(self) -> bool:
        """Whether the file was removed, perhaps with the whole state directory: another supervisor could start."""
        held = os.fstat(self._handle)
        try:
            there = os.stat(self._paths.lock)
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != (held.st_dev, held.st_ino)

    def take_again(self) -> None:
        """Hold the lock of the state directory that is there now, with a new lock file. Raises MachineError where
        another process has it."""
        handle = _open(self._paths, 0.0)
        os.close(self._handle)
        self._handle = handle

    def release(self) -> None:
        os.close(self._handle)


def is_held(path: str) -> bool:
    """Whether a process holds this lock: a supervisor, or a command that stands in for it. Changes nothing."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextlib.contextmanager
def hold_folder(folder: str) -> Iterator[None]:
    """Lock a folder of temporary files for as long as the block runs: `is_held` then tells it from one that a killed
    process has left. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def find_holder(path: str) -> int | None:
    """The pid of the process that holds this lock; None where none does, or where the system does not tell."""
    try:
        file = os.stat(path)
        rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return None
    # "1: FLOCK ADVISORY WRITE 1234 08:01:5678 0 EOF" (proc_locks(5)); a waiting lock has "->" after its number.
    held = ["FLOCK", "ADVISORY", "WRITE"]
    name = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    pids = [int(row[4]) for row in rows if row[1:4] == held and row[5] == name]
    return next(iter(pids), 0) or None  # 0: of another namespace


@contextlib.contextmanager
def hold_lock(paths: StatePaths, seconds: float = LOCK_SECONDS) -> Iterator[Lock]:
    """Hold the lock as the only supervisor of this state directory, and wait `seconds` for it at most. Raises
    MachineError where there is another supervisor, even one whose directory was moved away and is not written again
    yet."""
    # Imported here: it costs 11 ms; most commands ask for no lock, and all load this module.
    from lkhub.host.lost_supervisor import find_listener

    lock = Lock(paths, seconds)
    try:
        if other := find_listener(paths.control):
            runs = f"a supervisor (pid {other.pid}) runs whose state directory {paths.root} was removed or replaced"
            raise MachineError(runs, hints=("try again in a moment: it writes it again",))
        yield lock
    finally:
        lock.release()


def _open(paths: StatePaths, patience: float) -> int:
    ensure_state_dir(paths.root)
    ensure_private_dir(paths.run)
    check_socket_path(paths.control)
    with explain_os_errors(paths.lock, "write"):
        handle = open_lock(paths.lock)
    try:
        _wait(handle, paths.root, patience)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _wait(handle: int, root: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                hint = "try again in a moment; `lkhub logs hub` shows what it does"
                raise MachineError(f"another lkhub is starting or stopping in {root}", hints=(hint,)) from None
            time.sleep(0.05)
