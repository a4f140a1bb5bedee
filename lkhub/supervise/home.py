"""Keeps the state directory of a hub that runs whole: what was removed from it is written again.

Without it no command finds the hub, and the next start of a process fails. What the supervisor has in memory comes
back: keys, the hub's own authority, rendered files, records. Processes open their control sockets again by themselves.
"""

import os
import time
from collections.abc import Awaitable, Callable

import anyio

from lkhub.host.files import ensure_private_dir
from lkhub.supervise.lock import Lock
from lkhub.supervise.supervisor import Supervisor


class Home:
    """The state directory of `supervisor`. `answer` opens the control socket in it, `also` write what others keep
    there."""

    def __init__(
        self, lock: Lock, supervisor: Supervisor, answer: Callable[[], Awaitable[None]], *also: Callable[[], None]
    ) -> None:
        self._lock = lock
        self._supervisor = supervisor
        self._answer = answer
        self._also = also
        self._rules = os.path.exists(supervisor.paths.firewall)
        self._looking = anyio.Lock()

    async def look(self) -> None:
        """Write what is missing. Raises MachineError where it can't be written."""
        async with self._looking:
            if self._lock.is_lost():
                await self._come_back()
            self._rules = os.path.exists(self._supervisor.paths.firewall)
            await self._supervisor.write_missing()

    async def _come_back(self) -> None:
        supervisor, paths = self._supervisor, self._supervisor.paths
        supervisor.say(f"{paths.root} was removed while the hub runs; it is written again")
        if not os.path.exists(paths.lock):
            for folder in (paths.root, paths.run, paths.logs):
                ensure_private_dir(folder)
            # Before the lock: who finds a lock and no socket takes the hub for one that is starting.
            await self._answer()
        self._lock.take_again()
        supervisor.notice_removal(time.time(), "the record of this machine's firewall rules" if self._rules else "")
        for write in self._also:
            write()
