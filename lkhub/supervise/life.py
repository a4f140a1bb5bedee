"""Watches one run of a process, from its start or its takeover to its end."""

import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from lkhub.host import processes
from lkhub.host.processes import ProcessId
from lkhub.plan.process import ProcessPlan
from lkhub.supervise.ready import wait_ready
from lkhub.supervise.shared import Shared


@dataclass
class Life:
    """`ready_at` and `ended_at` are times of the monotonic clock. `ready_at` is None if the process was never ready;
    `failure` then says why, if that is known."""

    ready_at: float | None = None
    ended_at: float = 0.0
    failure: str = ""

    @property
    def seconds(self) -> float | None:
        """For how long the process was ready; None if it never was."""
        return None if self.ready_at is None else self.ended_at - self.ready_at


async def watch_life(
    plan: ProcessPlan, process: ProcessId, shared: Shared, *, adopted: bool, on_ready: Callable[[], Awaitable[None]]
) -> Life:
    """Return when the process has ended. A process that is not ready in time is killed, unless it was `adopted`: it may
    have served clients before."""
    life = Life()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch_start, life, plan, process, shared, adopted, on_ready)
        await processes.wait_until_gone(process)
        tasks.cancel_scope.cancel()
    life.ended_at = time.monotonic()
    return life


async def _watch_start(
    life: Life,
    plan: ProcessPlan,
    process: ProcessId,
    shared: Shared,
    adopted: bool,
    on_ready: Callable[[], Awaitable[None]],
) -> None:
    timings = shared.timings
    answers = ""

    def note(another: str) -> None:
        nonlocal answers
        answers = another

    limit, away = timings.answer if adopted else timings.ready, True
    while life.ready_at is None and away:
        began = time.monotonic()
        with anyio.move_on_after(limit):
            await wait_ready(plan.health, process, note, believed=timings.believed)
            life.ready_at = time.monotonic()
        away = time.monotonic() - began > limit + timings.away
    because = f": {answers}" if answers else ""
    if life.ready_at is None and adopted:
        life.ready_at = time.monotonic()
        shared.say(f"{plan.name} (pid {process.pid}) is there and does not answer{because}; it is not ended")
    if life.ready_at is not None:
        await on_ready()
    else:
        life.failure = f"{plan.name} was not ready within {timings.ready:.0f} s{because}"
        processes.send_signal(process, signal.SIGKILL)
