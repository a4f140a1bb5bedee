"""Both ends of a control socket."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from lkhub.host.control import ask
from lkhub.supervise.control_server import Handler, Handlers, Tell, serve_control
from lkhub.supervise.timings import USUAL, Timings
from lkhub.wire.exchange import Answer, Request


@dataclass(frozen=True)
class Said:
    text: str


class Echo(Request[Said], frozen=True):
    path = "/echo"
    answer = Said

    text: str = ""
    environ: Mapping[str, str] = msgspec.field(default_factory=dict)


class Work(Request[Said], frozen=True):
    """What a test wants done."""

    path = "/work"
    answer = Said


async def echo(request: Echo, _: Tell) -> Said:
    return Said(request.text or "".join(request.environ.values()))


@asynccontextmanager
async def serving(path: str, work: Handler = echo, timings: Timings = USUAL) -> AsyncIterator[None]:
    """A supervisor's end of the control socket."""
    handlers: Handlers = {Echo: echo, Work: work}
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_control, path, handlers, tasks, timings)
        yield
        tasks.cancel_scope.cancel()


async def request(path: str, asked: Request[Answer], **options: Any) -> Answer:
    with anyio.fail_after(10):
        return await anyio.to_thread.run_sync(lambda: ask(path, asked, **options))
