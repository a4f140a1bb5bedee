"""Processes beside the processes that took their place: they finish what they do, and end."""

import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import anyio
import anyio.abc
import anyio.to_thread

from lkhub.host import processes
from lkhub.host.processes import ProcessId
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import UNKNOWN, ProcessPlan
from lkhub.state.identity import Identity, remove_retired
from lkhub.supervise.beside import Beside
from lkhub.supervise.ending import end_session
from lkhub.supervise.shared import Shared
from lkhub.supervise.strays import follow_session
from lkhub.supervise.succession import Succession


@dataclass
class RetiredProcess:
    """`waits`: it does its work until its successor does, and was not told to end. `alone`: it gets no successor.
    `since`: when it was told to end, or began to wait, in epoch seconds. `popen` is None where another supervisor had
    started it."""

    plan: ProcessPlan
    process: ProcessId
    popen: "subprocess.Popen[bytes] | None"
    since: float
    waits: bool
    alone: bool = False

    def __post_init__(self) -> None:
        self.session = follow_session(self.process, self.plan)

    def identify(self, paths: StatePaths) -> Identity:
        """Its record."""
        return Identity(self.process, paths.root, self.plan, UNKNOWN, self.since, waits=self.waits)


class Retired(Beside[RetiredProcess]):
    """The retired processes of one supervisor."""

    def __init__(self, tasks: anyio.abc.TaskGroup, shared: Shared, succession: Succession) -> None:
        super().__init__(tasks, shared)
        self._timings, self._succession = shared.timings, succession
        # Each is called after the end of one.
        self.heard: list[Callable[[], Awaitable[None]]] = []

    def add(self, plan: ProcessPlan, process: ProcessId, popen: "subprocess.Popen[bytes] | None") -> None:
        """Tell a process to end, and end it when its time is over. An agent goes on until its successor has registered,
        which may first have to be installed. Where an older one waits for that, no other need."""
        waits = plan.registers and not any(each.waits and each.plan.name == plan.name for each in self._there)
        retired = RetiredProcess(plan, process, popen, time.time(), waits)
        if not waits:
            self._signal(retired)
        self._take(retired)

    def adopt(self, identity: Identity) -> None:
        """Take over a retired process of an earlier supervisor. One that was told to end is not told again: a second
        signal would end it at once."""
        self._take(RetiredProcess(identity.plan, identity.process, None, identity.since, identity.waits))

    def tell_others(self, names: Collection[str]) -> None:
        """Tell those to end that wait for a successor and get none: theirs is not among `names`."""
        for each in self._there:
            each.alone = each.plan.name not in names

    async def end(self) -> None:
        """End all of them now. A second SIGTERM ends a worker at once; SIGKILL ends what ignores it."""
        if waiting := [each for each in self._there if each.waits]:
            for each in waiting:
                self._tell(each)
            await anyio.sleep(self._timings.second_signal)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for each in self._there:
                processes.send_signal(each.process, number)
            with anyio.move_on_after(self._timings.stop_grace):
                for each in tuple(self._there):
                    await processes.wait_until_gone(each.process)
                break
        for each in tuple(self._there):
            if each.plan.registers:
                await self._end_session(each, self._timings.stop_grace)

    def _take(self, retired: RetiredProcess) -> None:
        self._record(retired)
        self._there.append(retired)
        self._tasks.start_soon(self._await_end, retired)

    def _tell(self, retired: RetiredProcess) -> None:
        self._signal(retired)
        retired.waits, retired.since = False, time.time()
        self._record(retired)

    def _signal(self, retired: RetiredProcess) -> None:
        retired.session.find_members()  # a shell is gone in a moment
        processes.send_signal(retired.process, signal.SIGTERM)

    async def _await_end(self, retired: RetiredProcess) -> None:
        async def watch() -> None:
            await self._await_successor(retired)
            await self._see_to_end(retired)

        await self._watch(retired, watch)
        if retired.popen is not None:
            retired.popen.wait()
        self._there.remove(retired)
        remove_retired(self._shared.paths, retired.identify(self._shared.paths))
        for hear in self.heard:
            await hear()

    async def _await_successor(self, retired: RetiredProcess) -> None:
        while retired.waits:
            is_over = retired.alone or await self._succession.is_over(retired.plan.name, retired.process)
            if is_over and retired.waits:
                self._tell(retired)
            with anyio.move_on_after(self._timings.successor if retired.waits else 0):
                await processes.wait_until_gone(retired.process)
                return

    async def _see_to_end(self, retired: RetiredProcess) -> None:
        with anyio.move_on_after(self._left(retired)) as limit:
            await self._await_leader(retired)
        if limit.cancelled_caught:
            late = f"has not ended in {retired.plan.retires} s, and is ended"
            self._shared.say(f"{retired.plan.name} (pid {retired.process.pid}) {late}")
            processes.send_signal(retired.process, signal.SIGKILL)
            await processes.wait_until_gone(retired.process)
        if retired.plan.registers:
            await self._end_session(retired, self._left(retired))

    async def _end_session(self, retired: RetiredProcess, seconds: float) -> None:
        await end_session(retired.session, seconds, self._shared.paths, self._shared.agents, self._timings)

    async def _await_leader(self, retired: RetiredProcess) -> None:
        """Return when it has ended. What it has started is known then: a call may start something in its last hour."""
        gone = False
        while not gone:
            await anyio.to_thread.run_sync(retired.session.find_members)
            with anyio.move_on_after(self._timings.tick):
                await processes.wait_until_gone(retired.process)
                gone = True

    @staticmethod
    def _left(retired: RetiredProcess) -> float:
        # A supervisor that was replaced meanwhile does not begin the time anew.
        return max(0.0, (retired.plan.retires or 0) - (time.time() - retired.since))
