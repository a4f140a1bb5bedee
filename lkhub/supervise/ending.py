"""How the processes of a hub end, and in which order."""

import signal
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

import anyio

from lkhub.host import processes
from lkhub.host.http import httpx, local_client
from lkhub.host.processes import ProcessId
from lkhub.plan.model import ProcessPlan
from lkhub.supervise.ready import STATUS_SECONDS, read_own

Ending = Literal["drain", "now", "replace"]
"""How a process ends. `drain`: people in a call may finish, up to a limit. `now`: they are told that the hub
stops. `replace`: killed, because another takes its place at once. An orderly stop of livekit-server tells
clients to leave for good (reason SERVER_SHUTDOWN); when it is gone without a word they reconnect by themselves."""

# After the drain limit the process stops by itself; this is what it may take beyond that.
STOP_GRACE_SECONDS = 5.0

# Two signals sent at once arrive as one; what needs no second one ends within this.
SECOND_SIGNAL_SECONDS = 0.2

Item = TypeVar("Item")


def order_ends(items: Iterable[Item], name_of: Callable[[Item], str], how: Ending) -> list[tuple[Item, Ending]]:
    """In which order the processes of a hub are ended, and how each of them: media first, so that people who are
    relayed or come through the edge stay connected while it drains."""
    ordered = sorted(items, key=lambda item: name_of(item) != "media")
    # Only media drains: once its calls are over, nobody has a use for the relay's allocations or pages.
    return [(item, how if name_of(item) == "media" else "now") for item in ordered]


async def end_process(process: ProcessId, how: Ending, plan: ProcessPlan | None) -> None:
    """End a process. `plan` is what is known of it.

    One that drains is told for how long, or gets SIGTERM where it can't be told; SIGTERM after that, or a second one,
    stops it, and SIGKILL ends what does not listen.
    """
    drain = plan.drain if plan else ProcessPlan.drain
    first = drain + STOP_GRACE_SECONDS if how == "drain" else SECOND_SIGNAL_SECONDS
    # One that is stopped hears no signal but the last.
    limits = () if how == "replace" or processes.is_stopped(process) else (first, STOP_GRACE_SECONDS)
    told = bool(limits) and how == "drain" and plan is not None and await tell_to_drain(process, plan, plan.drain)
    for limit in limits:
        if not told:
            processes.send_signal(process, signal.SIGTERM)
        told = False
        with anyio.move_on_after(limit):
            await processes.wait_until_gone(process)
            return
    processes.send_signal(process, signal.SIGKILL)
    await processes.wait_until_gone(process)


async def tell_to_drain(process: ProcessId, plan: ProcessPlan, seconds: int) -> bool:
    """Have a process wait for its calls for as long as `seconds`, and end then; whether it will.

    Told, and not an argument of its start: another limit is no reason to start it again. To tell it twice, as the
    next supervisor does, cuts nothing off; a second signal would. Engines of the first version can't be told, and
    have an argument of their own; a livekit-server of the user's waits until it gets a second signal.
    """
    if plan.ready.socket is None:
        return False
    try:
        async with local_client(STATUS_SECONDS, socket=plan.ready.socket) as client:
            # The socket may be that of another one by now.
            read_own(await client.get("http://control/status"), process)
            answer = await client.post("http://control/drain", json={"seconds": seconds})
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return False
    return answer.is_success
