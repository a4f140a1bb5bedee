"""Runs the watchers. An error in a watcher ends neither the watcher nor the hub with its calls."""

import time
from collections.abc import Awaitable, Callable, Mapping

import anyio

from lkhub.errors import describe_error
from lkhub.supervise.backoff import Backoff
from lkhub.supervise.timings import USUAL, Timings
from lkhub.wire.control import WatcherFailure


class Guard:
    """The watchers of one hub. `say` is called once when a watcher starts to fail, and once when it works again."""

    def __init__(self, say: Callable[[str], None], timings: Timings = USUAL) -> None:
        self._say = say
        self._timings = timings
        self._failures: dict[str, WatcherFailure] = {}

    async def watch(self, what: str, look: Callable[[], Awaitable[object]], seconds: float) -> None:
        """Call `look` again and again, `seconds` after its last end. Never returns. `what` follows "can't"."""
        backoff = Backoff(self._timings.guard_first, self._timings.guard_ceiling)
        while True:
            delay = seconds
            if await self.look(what, look):
                backoff.failures = 0.0
            else:
                delay = max(seconds, backoff.next_delay(0.0))
            await anyio.sleep(delay)

    async def look(self, what: str, look: Callable[[], Awaitable[object]]) -> bool:
        """Call `look` once. Returns whether it succeeded: a failure is said and shown, never raised."""
        try:
            await look()
        except Exception as error:
            self._note(what, describe_error(error))
            return False
        self._clear(what)
        return True

    @property
    def failures(self) -> Mapping[str, WatcherFailure]:
        """The watchers that fail, by what they can't do."""
        return dict(self._failures)

    def _note(self, what: str, detail: str) -> None:
        known = self._failures.get(what)
        if known is None or known.detail != detail:
            self._say(f"can't {what}: {detail}")
            self._failures[what] = WatcherFailure(detail, known.since if known else time.time())

    def _clear(self, what: str) -> None:
        if self._failures.pop(what, None):
            self._say(f"can {what} again")
