"""What the engine's processes say of themselves, kept so that `status` is answered from memory."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import anyio

from lkhub.host.processes import ProcessId
from lkhub.source.typed import ShapeError, unpack
from lkhub.supervise.child import Child
from lkhub.supervise.supervisor import Supervisor
from lkhub.supervise.watch.hanging import Hanging
from lkhub.wire.engine import STATUSES, ProcessStatus

Status = TypeVar("Status", bound=ProcessStatus)


@dataclass(frozen=True)
class Report:
    """What `process` said at `at`, by the clock that is never set. None: it did not answer, or not in these words."""

    process: ProcessId
    at: float
    status: ProcessStatus | None


class Reports:
    """The last report of each process that says something of itself."""

    def __init__(self, supervisor: Supervisor, hanging: Hanging) -> None:
        self._supervisor = supervisor
        self._hanging = hanging
        self._kept: dict[str, Report] = {}
        self._asking = anyio.Lock()

    def list_statuses(self) -> tuple[ProcessStatus, ...]:
        """What each process said last. One that is another process by now has said nothing yet."""
        return tuple(report.status for _, report in self._list_current() if report.status)

    def list_ages(self) -> dict[str, float]:
        """How many seconds ago that was, by the process's name."""
        now = time.monotonic()
        return {name: round(now - report.at, 3) for name, report in self._list_current() if report.status}

    def find(self, kind: type[Status]) -> Status | None:
        """What the process of this kind said last."""
        return next((status for status in self.list_statuses() if isinstance(status, kind)), None)

    def _list_current(self) -> Iterator[tuple[str, Report]]:
        for child in self._list_children():
            report = self._kept.get(child.plan.name)
            if report and report.process == child.process:
                yield child.plan.name, report

    async def refresh(self, max_age: float = 0.0) -> None:
        """Ask every process whose report is older than `max_age` seconds, all at once. One that hangs is not asked:
        whether it does is watched."""
        asked_at = time.monotonic()
        async with self._asking, anyio.create_task_group() as tasks:
            for child in self._list_children():
                kept = self._kept.get(child.plan.name)
                is_fresh = kept and kept.process == child.process and kept.at >= asked_at - max_age
                if not is_fresh and not self._hanging.find(child):
                    tasks.start_soon(self._ask, child)

    def _list_children(self) -> list[Child]:
        children = list(self._supervisor.children.values())
        return [child for child in children if child.plan.engine or child.plan.sees_clients]

    async def _ask(self, child: Child) -> None:
        process, at, name = child.process, time.monotonic(), child.plan.name
        told = await child.ask_status()
        if process is None or child.process != process:
            return
        status: ProcessStatus | None = None
        if told is not None:
            try:
                status = unpack(STATUSES.get(child.plan.engine, ProcessStatus), told)
            except ShapeError:  # of an engine of another version
                status = None
        self._kept[name] = Report(process, at, status)
