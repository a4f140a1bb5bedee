"""Processes that were told to end and finish what they do beside the processes that took their place."""

import signal
import subprocess
import time
from dataclasses import dataclass, field

import anyio
import anyio.abc

from lkhub.errors import MachineError, describe_error
from lkhub.host import processes
from lkhub.host.processes import ProcessId
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import UNKNOWN, ProcessPlan
from lkhub.state.identity import Identity, remove_retired, write_retired
from lkhub.supervise.shared import Shared


@dataclass(frozen=True)
class RetiredProcess:
    """`since`: when it was told to end, or was found by this supervisor, in epoch seconds. `popen` is None where
    another supervisor had started it."""

    plan: ProcessPlan
    process: ProcessId
    popen: "subprocess.Popen[bytes] | None"
    since: float = field(default_factory=time.time)

    def identify(self, paths: StatePaths) -> Identity:
        """Its record."""
        return Identity(self.process, paths.root, self.plan, UNKNOWN, self.since)


class Retired:
    """The retired processes of one supervisor, in `tasks`."""

    def __init__(self, tasks: anyio.abc.TaskGroup, shared: Shared) -> None:
        self._tasks, self._paths, self._say, self._timings = tasks, shared.paths, shared.say, shared.timings
        self._there: list[RetiredProcess] = []

    def list(self) -> tuple[RetiredProcess, ...]:
        """Those that still run."""
        return tuple(self._there)

    @property
    def pids(self) -> frozenset[int]:
        """The pids of those that still run."""
        return frozenset(each.process.pid for each in self._there)

    def add(self, plan: ProcessPlan, process: ProcessId, popen: "subprocess.Popen[bytes] | None") -> None:
        """Tell a process to end, and end it when its time is over."""
        processes.send_signal(process, signal.SIGTERM)
        self.wait_for(plan, process, popen)

    def wait_for(self, plan: ProcessPlan, process: ProcessId, popen: "subprocess.Popen[bytes] | None" = None) -> None:
        """End a process when its time is over, which was told to end before: a second signal would end it at once."""
        retired = RetiredProcess(plan, process, popen)
        try:
            write_retired(self._paths, retired.identify(self._paths))
        except MachineError as error:  # the next supervisor won't know of it
            self._say(error.message)
        self._there.append(retired)
        self._tasks.start_soon(self._await_end, retired)

    async def end(self) -> None:
        """End all of them now. A second SIGTERM ends a worker at once; SIGKILL ends what ignores it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for each in self._there:
                processes.send_signal(each.process, number)
            with anyio.move_on_after(self._timings.stop_grace):
                for each in tuple(self._there):
                    await processes.wait_until_gone(each.process)
                return

    async def _await_end(self, retired: RetiredProcess) -> None:
        while True:
            try:
                await self._see_to_end(retired)
                break
            except OSError as error:  # such as no free descriptor, which must not end the supervisor
                self._say(f"can't watch {retired.plan.name} (pid {retired.process.pid}): {describe_error(error)}")
                await anyio.sleep(self._timings.watch_again)
        if retired.popen is not None:
            retired.popen.wait()
        self._there.remove(retired)
        remove_retired(self._paths, retired.identify(self._paths))

    async def _see_to_end(self, retired: RetiredProcess) -> None:
        with anyio.move_on_after(retired.plan.retires or 0) as limit:
            await processes.wait_until_gone(retired.process)
        if limit.cancelled_caught:
            late = f"has not ended in {retired.plan.retires} s, and is ended"
            self._say(f"{retired.plan.name} (pid {retired.process.pid}) {late}")
            processes.send_signal(retired.process, signal.SIGKILL)
            await processes.wait_until_gone(retired.process)
