"""Keeps the statuses of the engine's processes, so that `status` is answered from memory."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import anyio

from lkhub.host.processes import ProcessId
from lkhub.livekit.tokens import is_probe_room
from lkhub.supervise.ask import ask_status
from lkhub.supervise.child import Child
from lkhub.supervise.predecessors import Predecessor
from lkhub.supervise.supervisor import Supervisor
from lkhub.supervise.watch.hanging import Hanging
from lkhub.wire.engine import KeyUses, MediaStatus, ProcessStatus

Status = TypeVar("Status", bound=ProcessStatus)


@dataclass(frozen=True)
class Report:
    """The status that `process` gave at `at` (monotonic clock). None: it gave no answer, or one that can't be read."""

    process: ProcessId
    at: float
    status: ProcessStatus | None


class Reports:
    """The last report of each process that has a status."""

    def __init__(self, supervisor: Supervisor, hanging: Hanging) -> None:
        self._supervisor = supervisor
        self._hanging = hanging
        self._kept: dict[str, Report] = {}
        self._before: dict[ProcessId, ProcessStatus] = {}
        self._asking = anyio.Lock()

    def list_statuses(self) -> tuple[ProcessStatus, ...]:
        """The last status of each process. The status of a process that was replaced is left out."""
        return tuple(report.status for _, report in self._list_current() if report.status)

    def list_before(self) -> tuple[ProcessStatus, ...]:
        """The last statuses of predecessors."""
        return tuple(self._before.values())

    def count_in(self, process: ProcessId) -> int | None:
        """How many participants were in the calls of a predecessor when it was last asked; None: not known."""
        status = self._before.get(process)
        rooms = status.rooms if isinstance(status, MediaStatus) else None
        return None if rooms is None else sum(room.participants for room in rooms if not is_probe_room(room.name))

    def find_uses(self, process: ProcessId) -> tuple[KeyUses, ...] | None:
        """How a predecessor said that the API keys were used when it was last asked; None: not known."""
        status = self._before.get(process)
        return status.keys if isinstance(status, MediaStatus) else None

    def list_ages(self) -> dict[str, float]:
        """The age of each status in seconds, by the process's name."""
        now = time.monotonic()
        return {name: round(now - report.at, 3) for name, report in self._list_current() if report.status}

    def find(self, kind: type[Status]) -> Status | None:
        """The last status of this kind."""
        return next((status for status in self.list_statuses() if isinstance(status, kind)), None)

    def _list_current(self) -> Iterator[tuple[str, Report]]:
        for child in self._list_children():
            report = self._kept.get(child.plan.name)
            if report and report.process == child.process:
                yield child.plan.name, report

    async def refresh(self, max_age: float = 0.0) -> None:
        """Ask all processes whose report is older than `max_age` seconds at once. A process that hangs is left to its
        own watcher."""
        asked_at = time.monotonic()
        async with self._asking, anyio.create_task_group() as tasks:
            for child in self._list_children():
                kept = self._kept.get(child.plan.name)
                is_fresh = kept and kept.process == child.process and kept.at >= asked_at - max_age
                if not is_fresh and not self._hanging.find(child):
                    tasks.start_soon(self._ask, child)
            before = self._supervisor.fleet.predecessors.list()
            there = {each.process for each in before}
            self._before = {process: status for process, status in self._before.items() if process in there}
            for each in before:
                tasks.start_soon(self._ask_before, each)

    def _list_children(self) -> list[Child]:
        children = list(self._supervisor.children.values())
        return [child for child in children if child.plan.engine or child.plan.sees_clients]

    async def _ask(self, child: Child) -> None:
        process, at, name = child.process, time.monotonic(), child.plan.name
        status = await child.ask_status()
        if process is None or child.process != process:
            return
        self._kept[name] = Report(process, at, status)

    async def _ask_before(self, before: Predecessor) -> None:
        status = await ask_status(before.plan, before.process, self._supervisor.shared.timings.status)
        if status is not None:
            self._before[before.process] = status
