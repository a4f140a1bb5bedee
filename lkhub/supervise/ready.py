"""Waits until a process says that it is ready, and reads its status.

An answer counts only if it comes from that very process: another program may have taken its port, and a second process
of its kind may have bound its control socket.
"""

import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from lkhub.host.holders import is_listening
from lkhub.host.http import httpx, local_client
from lkhub.host.processes import ProcessId, leads_session_of
from lkhub.plan.process import Health

# A new process binds its control socket within milliseconds; asking more often would only cost CPU.
RETRY_SECONDS = 0.01

# A process on this machine that takes longer to answer is not going to.
ANSWER_SECONDS = 10.0


async def wait_ready(health: Health, process: ProcessId, note: Callable[[str], None], *, believed: float) -> None:
    """Return when the process is ready, and never before: the caller sets a deadline. `note` is called with a text for
    each answer of another process. `believed`: see Timings."""
    if health.url is None and health.socket is None:
        return
    async with local_client(ANSWER_SECONDS, socket=health.socket) as client:
        if health.url:
            await _wait_for_url(client, health.url, process, note, believed)
        else:
            await _wait_for_socket(client, health.socket, process, note)


async def _wait_for_socket(
    client: httpx.AsyncClient, path: str | None, process: ProcessId, note: Callable[[str], None]
) -> None:
    while True:
        try:
            # The process answers this request only once it is ready.
            answer = await client.get("http://control/ready")
            if answer.is_success:
                read_own(answer, process)
                return
        except httpx.TransportError:
            pass
        except NotItsAnswerError as error:
            note(f"{error} at its control socket {path}")
        await anyio.sleep(RETRY_SECONDS)


async def _wait_for_url(
    client: httpx.AsyncClient, url: str, process: ProcessId, note: Callable[[str], None], believed: float
) -> None:
    port = urlsplit(url).port or 80
    since: float | None = None
    while True:
        try:
            answers = (await client.get(url)).is_success
        except httpx.TransportError:
            answers = False
        if answers and await anyio.to_thread.run_sync(is_listening, process.pid, port, abandon_on_cancel=True):
            return
        if answers:
            note(f"another process answers at {url}")
            since = time.monotonic() if since is None else since
            if time.monotonic() - since > believed:
                return
        else:
            since = None
        await anyio.sleep(RETRY_SECONDS)


class NotItsAnswerError(ValueError):
    """The answer came from another process, which the text names."""


def read_own(answer: httpx.Response, process: ProcessId) -> Mapping[str, object]:
    """The status in an answer from a control socket. Raises NotItsAnswerError if another process answered."""
    require_own(answer, process)
    told = _read_object(answer)
    if not isinstance(told.get("pid"), int):
        raise NotItsAnswerError("a program that is not lkhub's answers")
    return told


def require_own(answer: httpx.Response, process: ProcessId) -> None:
    """Raise NotItsAnswerError if the answer has another process's pid. An answer without a pid, a refusal, passes."""
    pid = _read_object(answer).get("pid")
    if isinstance(pid, int) and pid != process.pid and not leads_session_of(process.pid, pid):
        raise NotItsAnswerError(f"another process (pid {pid}) answers")


def _read_object(answer: httpx.Response) -> Mapping[str, object]:
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
