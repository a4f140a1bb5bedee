"""Wait for a condition, never for a time."""

import time
from collections.abc import Callable

import anyio

# Far beyond what anything here takes on a loaded machine: reaching it is a failure, not slowness.
DEADLINE_SECONDS = 15.0
POLL_SECONDS = 0.005


def wait_until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Return when `condition` holds; fail the test when it does not in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {DEADLINE_SECONDS:.0f} s"
        time.sleep(POLL_SECONDS)


async def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """`wait_until` that lets other tasks run."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {DEADLINE_SECONDS:.0f} s"
        await anyio.sleep(POLL_SECONDS)
