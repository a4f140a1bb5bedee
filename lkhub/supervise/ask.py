"""Asks a process of the engine for its status."""

import contextlib

from lkhub.host.http import httpx, local_client
from lkhub.host.processes import ProcessId
from lkhub.plan.process import ProcessPlan
from lkhub.source.typed import unpack
from lkhub.supervise.ready import read_own
from lkhub.wire.engine import STATUSES, ProcessStatus
from lkhub.wire.message import unpack_message


async def ask_status(plan: ProcessPlan, process: ProcessId, seconds: float) -> ProcessStatus | None:
    """The status that the process gives on its control socket; None if it does not answer within `seconds`. Of a
    process of another version whose status can't be read, only pid and state are known."""
    if plan.health.socket is None:
        return None
    try:
        async with local_client(seconds, socket=plan.health.socket) as client:
            answer = read_own((await client.get("http://control/status")).raise_for_status(), process)
        with contextlib.suppress(ValueError):
            return unpack_message(STATUSES.get(plan.engine, ProcessStatus), answer)
        return unpack(ProcessStatus, {key: answer.get(key) for key in ("pid", "state")})
    except (httpx.HTTPError, ValueError):
        return None
