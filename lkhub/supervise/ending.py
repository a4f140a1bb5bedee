"""How processes of a hub are ended, and in which order."""

import signal
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TypeVar

import anyio
from anyio import to_thread

from lkhub.host import processes
from lkhub.host.http import httpx, local_client
from lkhub.host.processes import ProcessId
from lkhub.host.session import Session
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import ProcessPlan
from lkhub.state.identity import UNKNOWN_DRAIN, Identity
from lkhub.supervise.ready import read_own
from lkhub.supervise.strays import end_strays, follow_session
from lkhub.supervise.timings import USUAL, Timings
from lkhub.wire.engine import DrainRequest
from lkhub.wire.message import pack_message

Ending = Literal["drain", "now", "replace"]
"""How a process ends. `drain`: participants may finish their call, up to a limit. `now`: their clients are told that
the hub stops. `replace`: the process is killed, because another takes its place at once. An orderly stop of
livekit-server tells clients to leave for good (reason SERVER_SHUTDOWN); after a kill they reconnect by themselves."""

Item = TypeVar("Item")

# The longest limit that the engine accepts (maxDrainSeconds in engine/internal/process/control.go).
FOREVER_SECONDS = 365 * 24 * 3600


def order_ends(items: Iterable[Item], plan_of: Callable[[Item], ProcessPlan], how: Ending) -> list[tuple[Item, Ending]]:
    """The order in which processes are ended, and how each of them ends, as their plans say."""
    ordered = sorted(items, key=lambda item: plan_of(item).stop_order)
    return [(item, how if plan_of(item).drain is not None else "now") for item in ordered]


async def end_process(
    process: ProcessId, how: Ending, plan: ProcessPlan, timings: Timings = USUAL, *, drains: bool = False
) -> None:
    """End a process.

    To drain, the process gets its limit over the control socket, or SIGTERM if that fails. SIGTERM
    after the limit, or a second SIGTERM, stops it. SIGKILL ends a process that ignores both. `drains`: it was told to
    drain before, so one signal stops it, and it has time for that.
    """
    drain = limit_drain(plan)
    first = timings.stop_grace if drains else timings.second_signal
    if how == "drain":
        first = drain + timings.stop_grace
    # A process stopped by a signal reacts to SIGKILL alone.
    limits = () if how == "replace" or processes.is_stopped(process) else (first, timings.stop_grace)
    told = False
    if limits and how == "drain":
        # A process that is cut short while it is told might not know that it drains, and would need two signals more.
        with anyio.CancelScope(shield=True):
            told = await tell_to_drain(process, plan, drain, timings)
    for limit in limits:
        if not told:
            processes.send_signal(process, signal.SIGTERM)
        told = False
        with anyio.move_on_after(limit):
            await processes.wait_until_gone(process)
            return
    processes.send_signal(process, signal.SIGKILL)
    await processes.wait_until_gone(process)


async def end_left(
    process: ProcessId, how: Ending, plan: ProcessPlan, paths: StatePaths, timings: Timings = USUAL
) -> None:
    """End a process that runs without a supervisor. An agent is any program, such as a shell, and what it has started
    ends with it."""
    session = follow_session(process, plan) if plan.registers else None
    if session is not None:
        await to_thread.run_sync(session.find_members)
    await end_process(process, how, plan, timings)
    if session is not None:
        await end_session(session, timings.stop_grace, paths, {}, timings)


async def end_session(
    session: Session,
    seconds: float,
    paths: StatePaths,
    known: Mapping[ProcessId, Identity],
    timings: Timings = USUAL,
) -> None:
    """End what the leader of a session has left: a shell or npm ends at SIGTERM and does not always pass it on. The
    rest is told then, has `seconds`, and is killed. A worker that got the signal from its leader is not told again. For
    `known` see end_strays."""
    if not await _wait_for_members(session, timings.second_signal):
        for each in await to_thread.run_sync(session.find_members):
            processes.send_signal(each, signal.SIGTERM)
        if not await _wait_for_members(session, seconds):
            for each in await to_thread.run_sync(session.find_members):
                processes.send_signal(each, signal.SIGKILL)
    await to_thread.run_sync(end_strays, session, paths, known)


async def _wait_for_members(session: Session, seconds: float) -> bool:
    """Whether all have ended within that time."""
    with anyio.move_on_after(seconds):
        while members := await to_thread.run_sync(session.find_members):
            for each in members:
                await processes.wait_until_gone(each)
        return True
    return False


def limit_drain(plan: ProcessPlan) -> int:
    """For how many seconds a process drains when it is told to."""
    return UNKNOWN_DRAIN if plan.drain is None else plan.drain


async def tell_to_drain(
    process: ProcessId, plan: ProcessPlan, seconds: int, timings: Timings = USUAL, *, hand_over: bool = False
) -> bool:
    """Tell a process to wait up to `seconds` for its calls and then end. Returns whether it will. `hand_over`: it
    leaves new clients to the process that took its place.

    The limit is a message, not an argument of the process, so another limit needs no restart. A second message, such as
    the next supervisor sends, cuts no call off; a second signal would. The user's own livekit-server has no such
    message, and waits until it gets a second signal.
    """
    if plan.health.socket is None:
        return False
    try:
        async with local_client(timings.status, socket=plan.health.socket) as client:
            # By now the socket may belong to another process.
            read_own(await client.get("http://control/status"), process)
            answer = await client.post("http://control/drain", json=pack_message(DrainRequest(seconds, hand_over)))
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return False
    return answer.is_success
