"""Notices a process that is there and does not answer: stopped by a signal, caught in a lock, without its socket.

It is told, and not ended: what hangs in one place may carry calls in another.
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
    """A process has not answered since `since`, by the clock that is never set, and `at` in epoch seconds. `hangs` is
    how that is seen, "" while it may be busy for a moment; `stopped`: a signal has stopped it."""

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
        """That of a child that hangs; None where it does not."""
        silence = self._silent.get(child.process) if child.process and child.state == "running" else None
        return silence if silence and silence.hangs else None

    async def look(self) -> None:
        """Ask every process that runs, all at once."""
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
            return  # another one by now
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
    """Whether it says anything at all. One that can't be asked does while it lives and is not stopped."""
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
