"""Processes that have handed over: another of the same name takes new calls, and they keep theirs to the end."""

import subprocess
import time
from collections.abc import Iterable, MutableSequence
from dataclasses import dataclass, field, replace

import anyio
import anyio.abc

from lkhub.errors import describe_error
from lkhub.host import processes
from lkhub.host.exits import describe_exit
from lkhub.host.http import httpx
from lkhub.host.processes import ProcessId
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import UNKNOWN, ProcessPlan, are_apart
from lkhub.state.identity import Identity, remove_retired
from lkhub.supervise.beside import Beside
from lkhub.supervise.ending import FOREVER_SECONDS, Ending, end_process, tell_to_drain
from lkhub.supervise.reread import post_reload, read_refusal


@dataclass(eq=False)
class Predecessor:
    """`since`: when it handed over, or was found by this supervisor, in epoch seconds. `popen` is None where another
    supervisor had started it. `drains` are cancelled where its calls get no more time; two stops may wait for one end.
    """

    plan: ProcessPlan
    process: ProcessId
    popen: "subprocess.Popen[bytes] | None"
    since: float = field(default_factory=time.time)
    drains: list[anyio.CancelScope] = field(default_factory=list)

    def identify(self, paths: StatePaths) -> Identity:
        """Its record."""
        return Identity(self.process, paths.root, self.plan, UNKNOWN, self.since)


class Predecessors(Beside[Predecessor]):
    """The processes of one supervisor that have handed over."""

    def find_in_the_way(self, plan: ProcessPlan) -> Predecessor | None:
        """One that still has what a process of this plan needs."""
        there = (each for each in self._there if each.plan.name == plan.name)
        return next((each for each in there if not are_apart(each.plan, plan)), None)

    async def add(self, plan: ProcessPlan, process: ProcessId, popen: "subprocess.Popen[bytes] | None" = None) -> None:
        """Tell a process to leave new clients to the one that took its place, and watch it to its end. It is told as
        often as needed, since until then it takes new clients too; being told twice cuts no call."""
        before = Predecessor(plan, process, popen)
        self._record(before)
        self._there.append(before)
        self._tasks.start_soon(self._await_end, before)
        if not await self._tell(before):
            self._shared.say(f"{plan.name} (pid {process.pid}) can't be told yet to leave new calls to its successor")
            self._tasks.start_soon(self._tell_until_told, before)

    def follow(self, planned: Iterable[ProcessPlan]) -> None:
        """Give the calls of each as much time at a stop as the plan of its name does by now."""
        limits = {plan.name: plan.drain for plan in planned}
        for each in self._there:
            drain = limits.get(each.plan.name, each.plan.drain)
            if drain != each.plan.drain:
                each.plan = replace(each.plan, drain=drain)
                self._record(each)

    async def reread(self, file: str) -> None:
        """Have those that read this file again do it. One that does not goes on with what it has."""
        for each in self.list():
            if file not in each.plan.rereads:
                continue
            try:
                answer = await post_reload(each.process, each.plan, self._shared.timings.status)
                refusal = "" if answer.is_success else read_refusal(answer)
            except httpx.HTTPError as error:
                refusal = type(error).__name__ if processes.is_alive(each.process) else ""
            if refusal:
                self._shared.say(f"{each.plan.name} (pid {each.process.pid}) does not take the new {file}: {refusal}")

    async def end(self, how: Ending, failures: MutableSequence[str]) -> None:
        """End all of them at once, with as much time for their calls as `how` gives. Why some could not be ended is
        added to `failures`."""
        async with anyio.create_task_group() as tasks:
            for each in self._there:
                tasks.start_soon(self._end, each, how, failures)

    async def cut(self, before: Predecessor) -> None:
        """Kill one, because another process takes its ports at once: its clients connect again by themselves."""
        await end_process(before.process, "replace", before.plan, self._shared.timings)
        if self._forget(before):
            self._shared.say(f"{before.plan.name} (pid {before.process.pid}) was ended with its calls")

    def stop_now(self) -> None:
        """Give calls no more time."""
        for each in self._there:
            for drain in each.drains:
                drain.cancel()

    async def _tell(self, before: Predecessor) -> bool:
        timings = self._shared.timings
        return await tell_to_drain(before.process, before.plan, FOREVER_SECONDS, timings, hand_over=True)

    async def _tell_until_told(self, before: Predecessor) -> None:
        while before in self._there and not await self._tell(before):
            await anyio.sleep(self._shared.timings.watch_again)

    async def _end(self, before: Predecessor, how: Ending, failures: MutableSequence[str]) -> None:
        process, plan, timings = before.process, before.plan, self._shared.timings
        try:
            with anyio.CancelScope() as drain:
                if how == "drain":
                    before.drains.append(drain)
                    await end_process(process, how, plan, timings)
            if how != "drain" or drain.cancelled_caught:
                await end_process(process, "now", plan, timings, drains=True)
        except OSError as error:
            failures.append(f"can't end {plan.name} (pid {process.pid}): {describe_error(error)}")

    async def _await_end(self, before: Predecessor) -> None:
        await self._watch(before, lambda: processes.wait_until_gone(before.process))
        if not self._forget(before):
            return
        code = before.popen.wait() if before.popen else None
        if not code:
            how = "has ended" if code is None else "has ended, after its last call"
        else:
            how = f"{describe_exit(code)}, with its calls; see {self._shared.paths.log(before.plan.name)}"
        self._shared.say(f"{before.plan.name} (pid {before.process.pid}) {how}")
        if code:  # those who were in its calls are about to come back
            await self._shared.returned(before.plan)

    def _forget(self, before: Predecessor) -> bool:
        """It has ended. Returns whether that is new."""
        if before not in self._there:
            return False
        self._there.remove(before)
        if before.popen is not None:
            before.popen.wait()
        remove_retired(self._shared.paths, before.identify(self._shared.paths))
        if before.plan.health.socket:
            self._shared.held.close_control(before.plan.health.socket)
        return True
