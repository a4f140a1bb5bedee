"""The processes that a process has started, in the session that it leads."""

import contextlib
import os

import psutil

from lkhub.host.processes import ProcessId, has_its_pid, identify


class Session:
    """The session of `leader`, apart from `leader` itself. The system gives its number to no other process as long as
    one of the session's own is there; so what is found counts only while one that was known before is still there."""

    def __init__(self, leader: ProcessId) -> None:
        self._leader = leader
        self._known: tuple[ProcessId, ...] = ()

    def find_members(self) -> tuple[ProcessId, ...]:
        """Its processes that run now. After the end of the leader: none if it was not called before. Raises OSError
        where this can't be determined."""
        found = tuple(filter(None, (identify(pid) for pid in psutil.pids() if self._has(pid))))
        if not has_its_pid(self._leader) and not any(self._is_there(each) for each in self._known):
            return ()
        self._known = found
        return found

    def _has(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return pid != self._leader.pid and os.getsid(pid) == self._leader.pid
        return False

    def _is_there(self, process: ProcessId) -> bool:
        return self._has(process.pid) and identify(process.pid) == process
