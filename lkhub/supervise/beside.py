"""Processes that were replaced and still run, beside their successors: what the supervisor keeps of them."""

from typing import Generic, Protocol, TypeVar

import anyio.abc

from lkhub.errors import MachineError
from lkhub.host.processes import ProcessId
from lkhub.plan.paths import StatePaths
from lkhub.state.identity import Identity, write_retired
from lkhub.supervise.shared import Shared


class Replaced(Protocol):
    """A process that was replaced and still runs."""

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
        try:
            write_retired(self._shared.paths, replaced.identify(self._shared.paths))
        except MachineError as error:  # the next supervisor may not know of it
            self._shared.say(error.message)
