"""Both ends of a control socket."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread

from lkhub.host.control import ask
from lkhub.supervise.control_server import Handler, Tell, serve_control


async def echo(request: Mapping[str, Any], _: Tell) -> Any:
    return dict(request)


@asynccontextmanager
async def serving(path: str, **handlers: Handler) -> AsyncIterator[None]:
    """A supervisor's end of the control socket."""
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_control, path, {"echo": echo, **handlers})
        yield
        tasks.cancel_scope.cancel()


async def request(path: str, do: str, **fields: Any) -> Any:
    with anyio.fail_after(10):
        return await anyio.to_thread.run_sync(lambda: ask(path, do, **fields))
