"""How the processes of a hub end, and in which order."""

import signal
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

import anyio

from lkhub.host import processes
from lkhub.host.http import httpx, local_client
from lkhub.host.processes import ProcessId
from lkhub.plan.process import ProcessPlan
from lkhub.state.identity import UNKNOWN_DRAIN
from lkhub.supervise.ready import read_own
from lkhub.supervise.timings import USUAL, Timings
from lkhub.wire.engine import DrainRequest
from lkhub.wire.message import pack_message

Ending = Literal["drain", "now", "replace"]
"""How a process ends. `drain`: people in a call may finish, up to a limit. `now`: they are told that the hub
stops. `replace`: killed, because another takes its place at once. An orderly stop of livekit-server tells
clients to leave for good (reason SERVER_SHUTDOWN); when it is gone without a word they reconnect by themselves."""

Item = TypeVar("Item")


def order_ends(items: Iterable[Item], plan_of: Callable[[Item], ProcessPlan], how: Ending) -> list[tuple[Item, Ending]]:
    """In which order the processes of a hub are ended, and how each of them: by their plans."""
    ordered = sorted(items, key=lambda item: plan_of(item).stop_order)
    return [(item, how if plan_of(item).drain is not None else "now") for item in ordered]


async def end_process(process: ProcessId, how: Ending, plan: ProcessPlan, timings: Timings = USUAL) -> None:
    """End a process.

    One that drains is told for how long, or gets SIGTERM where it can't be told; SIGTERM after that, or a second one,
    stops it, and SIGKILL ends what does not listen.
    """
    drain = limit_drain(plan)
    first = drain + timings.stop_grace if how == "drain" else timings.second_signal
    # One that is stopped hears no signal but the last.
    limits = () if how == "replace" or processes.is_stopped(process) else (first, timings.stop_grace)
    told = bool(limits) and how == "drain" and await tell_to_drain(process, plan, drain, timings)
    for limit in limits:
        if not told:
            processes.send_signal(process, signal.SIGTERM)
        told = False
        with anyio.move_on_after(limit):
            await processes.wait_until_gone(process)
            return
    processes.send_signal(process, signal.SIGKILL)
    await processes.wait_until_gone(process)


def limit_drain(plan: ProcessPlan) -> int:
    """For how many seconds a process drains that is to."""
    return UNKNOWN_DRAIN if plan.drain is None else plan.drain


async def tell_to_drain(process: ProcessId, plan: ProcessPlan, seconds: int, timings: Timings = USUAL) -> bool:
    """Have a process wait for its calls for as long as `seconds`, and end then; whether it will.

    Told, and not an argument of its start: another limit is no reason to start it again. To tell it twice, as the
    next supervisor does, cuts nothing off; a second signal would. A livekit-server of the user's can't be told, and
    waits until it gets a second signal.
    """
    if plan.health.socket is None:
        return False
    try:
        async with local_client(timings.status, socket=plan.health.socket) as client:
            # The socket may be that of another one by now.
            read_own(await client.get("http://control/status"), process)
            answer = await client.post("http://control/drain", json=pack_message(DrainRequest(seconds)))
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return False
    return answer.is_success
