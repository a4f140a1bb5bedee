"""The processes that a process has started, and that end with it."""

import contextlib
import os
import time
from collections.abc import Collection, Iterator

import psutil

from lkhub.host.processes import ProcessId, has_its_pid, identify, is_alive

# How long descendants are ended. Only what runs as our own user, and starts processes without end, takes longer.
_END_SECONDS = 5.0


class Session:
    """The session of `leader` and what descends from it in other sessions, apart from `leader` itself. The system gives
    the number of a session to no other process as long as one of the session's own is there; so what is found in it
    counts only while one that was known before is still there."""

    def __init__(self, leader: ProcessId) -> None:
        self._leader = leader
        self._known: tuple[ProcessId, ...] = ()

    def find_members(self) -> tuple[ProcessId, ...]:
        """The processes that run now. After the end of the leader: those that were found before, what descends from
        them, and their session. Raises OSError where this can't be determined."""
        inside = set(filter(None, (identify(pid) for pid in psutil.pids() if self._has(pid))))
        if not has_its_pid(self._leader) and not any(self._is_there(each) for each in self._known):
            inside = set()
        known = {each for each in self._known if is_alive(each)}
        below = {found for each in (self._leader, *known) for found in _find_below(each)}
        self._known = tuple(sorted(inside | known | below, key=lambda each: each.pid))
        return self._known

    def _has(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return pid != self._leader.pid and os.getsid(pid) == self._leader.pid
        return False

    def _is_there(self, process: ProcessId) -> bool:
        return self._has(process.pid) and identify(process.pid) == process


def _find_below(process: ProcessId) -> Iterator[ProcessId]:
    """What descends from it."""
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(process.pid).children(recursive=True)
        if is_alive(process):
            yield from filter(None, (identify(child.pid) for child in children))


def list_descendants() -> set[psutil.Process]:
    """What descends from this process."""
    return set(psutil.Process().children(recursive=True))


def end_descendants(kept: Collection[psutil.Process] = ()) -> None:
    """Kill what descends from this process, except for `kept`. What has been detached does only where `adopt_left` was
    called before."""
    ends = time.monotonic() + _END_SECONDS
    while time.monotonic() < ends and (left := list_descendants().difference(kept)):
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, 0.1)
