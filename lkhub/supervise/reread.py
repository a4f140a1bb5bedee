"""Tells a process over its control socket to read its files again."""

import anyio

from lkhub.host import processes
from lkhub.host.http import httpx, local_client
from lkhub.host.processes import ProcessId
from lkhub.plan.process import ProcessPlan
from lkhub.wire.failure import FailureAnswer
from lkhub.wire.message import parse_message


def read_refusal(answer: httpx.Response) -> str:
    """Why a process refuses its files. Never empty: an empty text would count as consent."""
    try:
        return parse_message(FailureAnswer, answer.content).error.message or "it gives no reason"
    except ValueError:
        return f"it answers with status {answer.status_code}, and its reason can't be read"


async def post_reload(process: ProcessId, plan: ProcessPlan, seconds: float) -> httpx.Response:
    """The process's answer. Raises httpx.HTTPError if there is none, or if the process ends first: its control socket
    stays open for the next process, so a connection would wait until that process is started."""
    answer: httpx.Response | httpx.HTTPError = httpx.ReadError("it has ended")

    async def end_with_it() -> None:
        await processes.wait_until_gone(process)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end_with_it)
        async with local_client(seconds, socket=plan.health.socket) as client:
            try:
                answer = await client.post("http://control/reload")
            except httpx.HTTPError as error:
                answer = error
        tasks.cancel_scope.cancel()
    if isinstance(answer, httpx.HTTPError):
        raise answer
    return answer
