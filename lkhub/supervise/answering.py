"""Keeps the supervisor's control socket open for as long as the supervisor runs."""

import os
from collections.abc import Callable
from typing import Any

import anyio
import anyio.abc

from lkhub.errors import describe_error
from lkhub.host.control import find_server
from lkhub.host.files import identify
from lkhub.supervise.control_server import Handlers, serve_control
from lkhub.supervise.timings import USUAL, Timings


class Answering:
    """Serves the control socket `path`, and opens it again after it has failed or its file was removed. Requests are
    handled in `tasks`."""

    def __init__(
        self,
        path: str,
        handlers: Handlers,
        tasks: anyio.abc.TaskGroup,
        say: Callable[[str], None],
        timings: Timings = USUAL,
    ) -> None:
        self._path = path
        self._handlers = handlers
        self._tasks = tasks
        self._say = say
        self._timings = timings
        self._served: tuple[int, int] | None = None
        self._looking = anyio.Lock()

    async def look(self) -> None:
        """Return when the socket is served. Raises MachineError if it can't be opened."""
        async with self._looking:
            # A command that connected before the socket's file was removed still gets its answer.
            if self._served is None or (self._served != identify(self._path) and not self.find_other()):
                await self._tasks.start(self._serve)
                self._served = identify(self._path)

    def find_other(self) -> int | None:
        """The pid of another supervisor that answers on this path, or None."""
        pid = find_server(self._path)
        return None if pid == os.getpid() else pid

    async def _serve(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        started = _Started(task_status)
        try:
            await serve_control(self._path, self._handlers, self._tasks, self._timings, task_status=started)
        except Exception as error:
            if not started.told:
                raise
            self._served = None
            # anyio's own error has the refusal of this machine as its cause.
            self._say(f"the control socket ended and is opened again: {describe_error(error.__cause__ or error)}")


class _Started:
    """A task status that knows whether it was told."""

    def __init__(self, inner: anyio.abc.TaskStatus[None]) -> None:
        self._inner = inner
        self.told = False

    def started(self, value: Any = None) -> None:
        self.told = True
        self._inner.started(value)
