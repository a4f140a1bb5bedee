"""Bounds what other people's code may take of this machine: the build of a web site, and an agent."""

import contextlib
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

# Of one process of a build, without what it only reserves: V8 reserves hundreds of gigabytes. Node's own limit is 4 GB.
MOST_MEMORY = 4 << 30

# Processes and threads. Bundlers start a few for each CPU.
MOST_PROCESSES = 1024

MOST_FILE_BYTES = 2 << 30

# Calls go first.
_NICENESS = 10

# The share of an agent in the processes and threads that the kernel has room for. It is what systemd lets a unit have
# (systemd-system.conf(5), DefaultTasksMax).
_SHARE = 0.15


def prepare_limits(uid: int | None) -> Callable[[], None]:
    """A function that bounds this process and all that it starts, to be called between fork and exec while it still has
    its rights. `uid` is the user that it becomes then; None: our own user, which has other processes too."""
    processes = MOST_PROCESSES + (_count_own() if uid is None else 0)
    limits = tuple(
        (kind, _lower(kind, most))
        for kind, most in (
            (resource.RLIMIT_DATA, MOST_MEMORY),
            (resource.RLIMIT_NPROC, processes),
            (resource.RLIMIT_FSIZE, MOST_FILE_BYTES),
            (resource.RLIMIT_CORE, 0),
        )
    )

    def limit() -> None:
        for kind, most in limits:
            resource.setrlimit(kind, (most, most))
        with contextlib.suppress(OSError):  # a unit of systemd's may forbid it
            os.nice(_NICENESS)
        # Where memory is short, the kernel ends the build, and not the hub.
        with contextlib.suppress(OSError):
            handle = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
            os.write(handle, b"1000")
            os.close(handle)

    return limit


def limit_user() -> None:
    """Bound the processes and threads of the user that this process is about to become, over all its processes. Root's
    have no such limit. Does nothing where the kernel does not say for how many it has room."""
    with contextlib.suppress(OSError, ValueError):
        room = min(int(Path("/proc/sys/kernel", name).read_text()) for name in ("pid_max", "threads-max"))
        most = _lower(resource.RLIMIT_NPROC, int(room * _SHARE))
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def _lower(kind: int, most: int) -> int:
    """No limit can be higher than the one that this process has."""
    _, hard = resource.getrlimit(kind)
    return most if hard == resource.RLIM_INFINITY else min(most, hard)


def _count_own() -> int:
    return sum(_count_threads())


def _count_threads() -> Iterator[int]:
    uid = os.getuid()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == uid:
                yield process.num_threads()
