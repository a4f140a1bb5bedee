"""Counts the participants in calls, and reconnects the clients of a process that was replaced."""

import contextlib
import time
from collections.abc import Collection, Iterable, Mapping

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.host.processes import ProcessId, is_alive
from lkhub.plan.process import ProcessPlan
from lkhub.supervise.fleet import Fleet
from lkhub.supervise.participants import count_participants, resume_clients


class Calls:
    """The calls that the processes of a fleet carry."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._shared = fleet.shared
        self._rejoined_by = 0.0

    async def count(self) -> int | None:
        """How many participants are in a call; None if a process that knows them can't be asked."""
        # The children decide, not the applied record: it may be lost while participants are in calls.
        running = [child for child in self._fleet.children.values() if child.state == "running"]
        asked = [(child.plan, child.process) for child in running if child.process is not None]
        asked += [(each.plan, each.process) for each in self._fleet.predecessors.list()]
        total = await self.count_of(asked)
        return None if total == 0 and time.monotonic() < self._rejoined_by else total

    async def count_of(self, asked: Iterable[tuple[ProcessPlan, ProcessId]]) -> int | None:
        """How many participants are in a call of these processes; None if one that knows them can't be asked."""
        keys, seconds, total = self._shared.paths.keys, self._shared.timings.participants, 0
        for plan, process in asked:
            if not plan.knows_participants:
                continue
            found = await count_participants(plan.health, process, keys, seconds)
            if found is None and is_alive(process):
                return None
            total += found or 0
        return total

    def expect_back(self) -> None:
        """Note that participants were cut off and that their clients are about to reconnect."""
        self._rejoined_by = time.monotonic() + self._shared.timings.rejoin

    def read_resumed(self, names: Collection[str]) -> dict[str, str]:
        """The configurations of the processes in `names` whose clients another process can resume, by name."""
        found: dict[str, str] = {}
        for child in self._fleet.children.values():
            for resumed in child.plan.resumes:
                if resumed.of in names and resumed.of in self._fleet.children:
                    with contextlib.suppress(MachineError):
                        found[resumed.of] = files.read_text(resumed.file) or ""
        return found

    async def resume(self, configurations: Mapping[str, str]) -> None:
        """Make the clients of processes that ended connect again. `configurations` come from an earlier `read_resumed`.
        A client whose own connection is lost reconnects by itself; a client of a relay would wait until ICE gives the
        path up."""
        running = [child.plan for child in self._fleet.children.values() if child.state == "running"]
        for plan in (*running, *(each.plan for each in self._fleet.predecessors.list())):
            for of in [resumed.of for resumed in plan.resumes if configurations.get(resumed.of)]:
                if not plan.health.socket:
                    continue
                try:
                    seconds = self._shared.timings.participants
                    if told := await resume_clients(plan.health.socket, configurations[of], seconds):
                        told_them = f"{told} of its clients were told to connect again"
                        self._shared.say(f"the {of} is another one: {told_them}")
                except MachineError as error:
                    failure = f"could not tell the {of}'s clients to connect again ({error.message})"
                    self._shared.say(f"{plan.name} {failure}")

    async def notice_return(self, plan: ProcessPlan) -> None:
        """A process was started again, and does not know the clients of the process before it."""
        if plan.knows_participants:
            self.expect_back()
        await self.resume(self.read_resumed([plan.name]))
