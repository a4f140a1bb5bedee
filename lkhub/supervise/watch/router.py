"""Asks again and again for the port mappings that `lkhub firewall apply --router` asked the router for.

So their lease never ends, and a router that has lost them leads clients here again before long. No router is
asked for anything else, nor another router than that one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import anyio

from lkhub.errors import HubError, describe_error, is_refusal
from lkhub.plan.paths import StatePaths
from lkhub.state.router import RouterRecord, hold_router, read_router, write_router
from lkhub.supervise.backoff import Backoff
from lkhub.supervise.timings import USUAL, Timings
from lkhub.wire.control import RouterTrouble


@dataclass
class Renewal:
    """Keeps what the record lists mapped. `say` hears of a failure once, and of its end. `_answers` has what the router
    said last, by what is written."""

    paths: StatePaths
    say: Callable[[str], None]
    clock: Callable[[], float] = time.time
    timings: Timings = USUAL
    trouble: RouterTrouble | None = None
    _answers: dict[RouterRecord, RouterRecord] = field(default_factory=dict)
    _tried: tuple[RouterRecord, str | None] | None = None
    _again: float = 0.0

    def __post_init__(self) -> None:
        self._backoff = self._new_backoff()

    def _new_backoff(self) -> Backoff:
        return Backoff(self.timings.router_first, self.timings.router_ceiling)

    def write_again(self) -> None:
        """Write the record where it was removed with the state directory."""
        for answer in self._answers.values():
            write_router(self.paths, answer)

    async def keep(self) -> None:
        """`look`, and keep for `status` why the record can't be read."""
        try:
            await self.look()
        except HubError as error:
            self._fail(error.message, None)

    async def look(self) -> None:
        """Ask for the mappings of the record when it is time to. Raises HubError where the record can't be read."""
        written = read_router(self.paths)
        if written is None:
            self.trouble = None
            return
        record = self._answers.get(written, written)
        # Imported where there are mappings: every other hub starts 4 ms sooner and has 300 KB less without.
        from lkhub.host.router import find_local

        local = find_local(record.gateway)
        # A network that was away is back like a router that was restarted: as if nothing had been asked for.
        if self.trouble is None and not self._is_due(record, local):
            return
        if self._tried != (record, local):
            self._tried, self._again, self._backoff = (record, local), 0.0, self._new_backoff()
        if anyio.current_time() < self._again:
            return
        with hold_router(self.paths, wait=False) as held:
            # Else the command is at it, or was: then there is something else to renew, or nothing.
            if held and read_router(self.paths) == written:
                await self._renew(written, record, local)

    def _is_due(self, record: RouterRecord, local: str | None) -> bool:
        """Whether it is time to ask again, or the mappings lead to where this machine no longer is."""
        now = self.clock()
        # A clock that was set back does not tell how long ago it was.
        asked = record.since <= now < record.since + self.timings.router_ask
        return local != record.local or not asked or _is_half_over(record, now)

    async def _renew(self, written: RouterRecord, record: RouterRecord, local: str | None) -> None:
        # Imported here: 4 ms and 300 KB, as above.
        from lkhub.host.router import OtherRouterError, RefusedError, renew

        try:
            answer = await renew(record)
            self._answers = {written: answer}
            if _is_outdated(written, answer, self.clock()):
                write_router(self.paths, answer)
            self._recover()
        except Exception as error:
            # What a router answers, or the engine makes of it, must not end the supervisor and every call with it.
            bug = f"this is a bug in lkhub: {type(error).__name__} while asking the router"
            told = error.message if isinstance(error, HubError) else describe_error(error) if is_refusal(error) else bug
            self._again = anyio.current_time() + self._backoff.next_delay(0.0)
            elsewhere = isinstance(error, OtherRouterError) or local != record.local
            self._fail(told, 0.0 if elsewhere else None if isinstance(error, RefusedError) else record.ends)

    def _fail(self, detail: str, ends: float | None) -> None:
        if self.trouble is None:
            self.say(f"the router's port mappings were not renewed: {detail}")
        self.trouble = RouterTrouble(detail, self.trouble.since if self.trouble else self.clock(), ends)

    def _recover(self) -> None:
        if self.trouble:
            self.say("the router's port mappings are in order again")
        self.trouble = None


def _is_half_over(record: RouterRecord, now: float) -> bool:
    return record.renew_at is not None and now >= record.renew_at


def _is_outdated(written: RouterRecord, answer: RouterRecord, now: float) -> bool:
    """Whether the file tells something else than the router, or ends soon. Its times alone may be late: nobody's disk
    is woken every two minutes."""
    return _without_times(written) != _without_times(answer) or _is_half_over(written, now)


def _without_times(record: RouterRecord) -> RouterRecord:
    timeless = (replace(each, since=0.0, until=each.until and 0.0) for each in record.mappings)
    return replace(record, mappings=tuple(timeless))
