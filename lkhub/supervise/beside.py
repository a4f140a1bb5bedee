"""Processes that were replaced and still run, beside their successors: what the supervisor keeps of them."""

from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import anyio
import anyio.abc

from lkhub.errors import MachineError, describe_error
from lkhub.host.processes import ProcessId
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import ProcessPlan
from lkhub.state.identity import Identity, write_retired
from lkhub.supervise.shared import Shared


class Replaced(Protocol):
    """A process that was replaced and still runs."""

    @property
    def plan(self) -> ProcessPlan: ...

    @property
    def process(self) -> ProcessId: ...

    def identify(self, paths: StatePaths) -> Identity:
        """Its record."""


Kind = TypeVar("Kind", bound=Replaced)


class Beside(Generic[Kind]):
    """The replaced processes of one kind (agents, or media) of a supervisor, watched in `tasks`."""

    def __init__(self, tasks: anyio.abc.TaskGroup, shared: Shared) -> None:
        self._tasks, self._shared = tasks, shared
        self._there: list[Kind] = []

    def list(self) -> tuple[Kind, ...]:
        """Those that still run."""
        return tuple(self._there)

    @property
    def pids(self) -> frozenset[int]:
        """The pids of those that still run."""
        return frozenset(each.process.pid for each in self._there)

    def _record(self, replaced: Kind) -> None:
        identity = replaced.identify(self._shared.paths)
        self._shared.note_agent(identity)
        try:
            write_retired(self._shared.paths, identity)
        except MachineError as error:  # the next supervisor may not know of it
            self._shared.say(error.message)

    async def _watch(self, replaced: Kind, watch: Callable[[], Awaitable[None]]) -> None:
        """Return when `watch` has, which is called again after each error. No refusal of this machine, such as no free
        descriptor or thread, and no bug in lkhub may end the supervisor, and every call with it."""
        told = ""
        while True:
            try:
                return await watch()
            except Exception as error:
                if (failure := describe_error(error)) != told:
                    self._shared.say(f"can't watch {replaced.plan.name} (pid {replaced.process.pid}): {failure}")
                told = failure
            await anyio.sleep(self._shared.timings.watch_again)
