"""Notices a process that is there and does not answer: stopped by a signal, caught in a lock, without its socket.

It is told, and not ended: what hangs in one place may carry calls in another.
"""

import time
from datetime import UTC, datetime

import anyio

from lkhub.host import processes
from lkhub.host.http import httpx, local_client
from lkhub.host.processes import ProcessId
from lkhub.supervise.child import ANSWER_SECONDS, Child
from lkhub.supervise.ready import NotItsAnswerError, read_own
from lkhub.supervise.supervisor import Supervisor

LOOK_SECONDS = 5.0

# A machine that is busy for a moment is no reason to alarm anybody.
PATIENCE_SECONDS = 12.0


class Hanging:
    """Since when each process has been silent."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        # By the clock that nobody sets, and in epoch seconds for people.
        self._silent: dict[ProcessId, tuple[float, float]] = {}

    async def look(self) -> None:
        """Ask every process that runs, all at once."""
        children = [child for child in self._supervisor.children.values() if child.state == "running"]
        async with anyio.create_task_group() as tasks:
            for child in children:
                tasks.start_soon(self._ask, child)
        alive = {child.process for child in self._supervisor.children.values()}
        self._silent = {process: since for process, since in self._silent.items() if process in alive}

    async def _ask(self, child: Child) -> None:
        process, began = child.process, (time.monotonic(), time.time())
        if process is None:
            return
        answers = await _answers(child, process)
        if child.process != process or child.state != "running":
            return  # another one by now
        if answers:
            self._silent.pop(process, None)
            if child.hangs:
                self._supervisor.say(f"{child.plan.name} answers again")
            child.hangs, child.stopped = "", False
            return
        since, told = self._silent.setdefault(process, began)
        if time.monotonic() - since < PATIENCE_SECONDS:
            return
        if not child.hangs:
            self._supervisor.say(f"{child.plan.name} is there and does not answer")
        child.stopped = processes.is_stopped(process)
        child.hangs = _describe(child, process, told)


async def _answers(child: Child, process: ProcessId) -> bool:
    """Whether it says anything at all."""
    ready = child.plan.ready
    try:
        async with local_client(ANSWER_SECONDS, socket=ready.socket) as client:
            answer = await client.get(ready.url or "http://control/status")
            # A failure and an answer at a URL have no pid.
            if ready.url is None and answer.is_success:
                read_own(answer, process)
    except (httpx.HTTPError, NotItsAnswerError):
        return False
    return True


def _describe(child: Child, process: ProcessId, since: float) -> str:
    asked = child.plan.ready.url or f"its control socket {child.plan.ready.socket}"
    at = f"{datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if child.stopped:
        return f"pid {process.pid} is stopped by a signal, and has not answered since {at}"
    return f"pid {process.pid} has not answered at {asked} since {at}"
