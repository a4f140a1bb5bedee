"""Keeps the state directory of a running hub complete: files that were removed from it are written again.

Without the state directory no command finds the hub, and the next start of a process fails. The supervisor writes what
it has in memory: keys, the hub's own authority, rendered files, records. Processes open their control sockets again by
themselves.
"""

import contextlib
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from lkhub.host.files import FILE_MODE, ensure_private_dir
from lkhub.host.lock import Lock
from lkhub.host.processes import ProcessId
from lkhub.supervise.answering import Answering
from lkhub.supervise.supervisor import Supervisor
from lkhub.wire.control import Removal


def _reopen_log(path: str) -> None:
    """Open the supervisor's own log anew if its file was removed, since findings name `lkhub logs hub`. A terminal, and
    a file that still exists somewhere, stay open."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
                os.dup2(log, descriptor)
                os.close(log)


@dataclass(frozen=True)
class _Removed:
    """The state directory was removed at `at` (epoch seconds). `processes` write to logs that were removed with it;
    `lost` names what else can't be written again."""

    at: float
    processes: frozenset[ProcessId | None]
    lost: str


class StateDirectory:
    """The state directory of `supervisor`. `answering` keeps the control socket in it. Records of other watchers are
    written by `write_missing` at each look, and by `write_again` after the whole directory was removed."""

    def __init__(
        self,
        lock: Lock,
        supervisor: Supervisor,
        answering: Answering,
        *,
        write_missing: Callable[[], None],
        write_again: Callable[[], None],
    ) -> None:
        self._lock = lock
        self._supervisor = supervisor
        self._answering = answering
        self._write_missing = write_missing
        self._write_again = write_again
        self._removed: _Removed | None = None
        self._rules = os.path.exists(supervisor.paths.firewall)
        self._looking = anyio.Lock()

    async def look(self) -> None:
        """Write what is missing. If another supervisor, started between two looks, has the hub by now, give way to it.
        Raises MachineError if something can't be written."""
        async with self._looking:
            if self._lock.is_lost():
                if other := self._answering.find_other():
                    self._supervisor.give_way(other)
                    return
                await self._come_back()
            self._rules = os.path.exists(self._supervisor.paths.firewall)
            await self._supervisor.write_missing()
            self._write_missing()

    @property
    def removal(self) -> Removal | None:
        """When the state directory was removed, and which processes write to removed logs; None if no process does."""
        removed = self._removed
        if removed is None:
            return None
        children = self._supervisor.children.values()
        names = tuple(child.plan.name for child in children if child.process in removed.processes)
        return Removal(removed.at, names, removed.lost) if names else None

    async def _come_back(self) -> None:
        supervisor, paths = self._supervisor, self._supervisor.paths
        if not os.path.exists(paths.lock):
            for folder in (paths.root, paths.run, paths.logs):
                ensure_private_dir(folder)
            # Before the lock: to a command, a lock without a socket means a hub that is starting.
            await self._answering.look()
        self._lock.take_again()
        _reopen_log(paths.log("hub"))
        supervisor.say(f"{paths.root} was removed while the hub runs; it is written again")
        self.notice_removal(time.time())
        self._write_again()

    def notice_removal(self, at: float) -> None:
        """Note that the running processes write to logs that were removed at `at`."""
        without_log = frozenset(child.process for child in self._supervisor.children.values())
        lost = "the record of this machine's firewall rules" if self._rules else ""
        self._removed = _Removed(at, without_log, lost)
