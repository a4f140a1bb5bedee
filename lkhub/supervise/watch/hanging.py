"""Notices a process that runs but does not answer: it is stopped by a signal, waits for a lock or has lost its socket.

Such a process is reported, not ended: it may still carry calls.
"""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import anyio

from lkhub.host import processes
from lkhub.host.http import httpx, local_client
from lkhub.host.processes import ProcessId
from lkhub.supervise.child import Child
from lkhub.supervise.ready import NotItsAnswerError, read_own
from lkhub.supervise.supervisor import Supervisor


@dataclass(frozen=True)
class Silence:
    """A process has not answered since `since` (monotonic clock), the same moment as `at` in epoch seconds. `hangs`
    describes it, "" while the process may only be busy for a moment. `stopped`: a signal has stopped it."""

    since: float
    at: float
    hangs: str = ""
    stopped: bool = False


class Hanging:
    """Since when each process has been silent."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._silent: dict[ProcessId, Silence] = {}

    def find(self, child: Child) -> Silence | None:
        """The silence of a child that hangs; None if it does not hang."""
        silence = self._silent.get(child.process) if child.process and child.state == "running" else None
        return silence if silence and silence.hangs else None

    async def look(self) -> None:
        """Ask all running processes at once."""
        children = [child for child in self._supervisor.children.values() if child.state == "running"]
        async with anyio.create_task_group() as tasks:
            for child in children:
                tasks.start_soon(self._ask, child)
        alive = {child.process for child in self._supervisor.children.values()}
        self._silent = {process: silence for process, silence in self._silent.items() if process in alive}

    async def _ask(self, child: Child) -> None:
        process, now = child.process, Silence(time.monotonic(), time.time())
        if process is None:
            return
        answers = await _answers(child, process, self._supervisor.shared.timings.answer)
        if child.process != process or child.state != "running":
            return  # the process has ended meanwhile
        if answers:
            silence = self._silent.pop(process, None)
            if silence and silence.hangs:
                self._supervisor.say(f"{child.plan.name} answers again")
            return
        known = self._silent.setdefault(process, now)
        if time.monotonic() - known.since < self._supervisor.shared.timings.hanging_patience:
            return
        if not known.hangs:
            self._supervisor.say(f"{child.plan.name} is there and does not answer")
        stopped = processes.is_stopped(process)
        self._silent[process] = replace(known, hangs=_describe(child, process, known.at, stopped), stopped=stopped)


async def _answers(child: Child, process: ProcessId, seconds: float) -> bool:
    """Whether the process answers at all. One without socket and URL counts as answering unless it is stopped."""
    health = child.plan.health
    if health.url is None and health.socket is None:
        return not processes.is_stopped(process)
    try:
        async with local_client(seconds, socket=health.socket) as client:
            answer = await client.get(health.url or "http://control/status")
            # A failure and an answer at a URL have no pid.
            if health.url is None and answer.is_success:
                read_own(answer, process)
    except (httpx.HTTPError, NotItsAnswerError):
        return False
    return True


def _describe(child: Child, process: ProcessId, since: float, stopped: bool) -> str:
    asked = child.plan.health.url or f"its control socket {child.plan.health.socket}"
    at = f"{datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if stopped:
        return f"pid {process.pid} is stopped by a signal, and has not answered since {at}"
    return f"pid {process.pid} has not answered at {asked} since {at}"
