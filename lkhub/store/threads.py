"""Waiting for the database in a thread."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

Result = TypeVar("Result")


async def run_to_end(function: Callable[[], Result]) -> Result:
    """Call a function in a thread. A caller that is cancelled goes on once the thread has ended: what follows may close
    what the function opens."""
    task = asyncio.ensure_future(anyio.to_thread.run_sync(function))
    # Or asyncio would log as lost what the function raises after its caller was cancelled, perhaps twice.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
    return task.result()
