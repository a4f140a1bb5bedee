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
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        await asyncio.wait([task])
        task.exception()  # or asyncio would log it as lost
        raise
    return task.result()
