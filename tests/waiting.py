"""Wait for a condition, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

import anyio

T = TypeVar("T")

# Far longer than any step takes on a loaded machine, even the start of a hub: reaching it means failure, not slowness.
DEADLINE_SECONDS = 60.0
POLL_SECONDS = 0.01


def wait_until(condition: Callable[[], T | None], what: str = "the condition", seconds: float = DEADLINE_SECONDS) -> T:
    """The first true result of `condition`; the test fails if there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:.0f} s"
        time.sleep(POLL_SECONDS)
    return answer


async def until(
    condition: Callable[[], object], what: str = "the condition", seconds: float = DEADLINE_SECONDS
) -> None:
    """`wait_until`, but other tasks run meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:.0f} s"
        await anyio.sleep(POLL_SECONDS)
