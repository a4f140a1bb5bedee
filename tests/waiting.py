"""Wait for a condition, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

import anyio

T = TypeVar("T")

# Far beyond what anything takes on a loaded machine, the start of a hub included: reaching it is a failure, not
# slowness.
DEADLINE_SECONDS = 60.0
POLL_SECONDS = 0.01


def wait_until(condition: Callable[[], T | None], what: str = "the condition", seconds: float = DEADLINE_SECONDS) -> T:
    """The first true answer of `condition`; the test fails when there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:.0f} s"
        time.sleep(POLL_SECONDS)
    return answer


async def until(
    condition: Callable[[], object], what: str = "the condition", seconds: float = DEADLINE_SECONDS
) -> None:
    """`wait_until` that lets other tasks run."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:.0f} s"
        await anyio.sleep(POLL_SECONDS)
