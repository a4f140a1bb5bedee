"""Renews the port mappings that `lkhub firewall apply --router` has requested from the router.

So their lease never ends, and a router that has lost them gets them again soon. The hub requests nothing else, and
sends no request to any other router.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import anyio

from lkhub.errors import HubError, MachineError, describe_error, is_refusal
from lkhub.plan.paths import StatePaths
from lkhub.state.router import RouterRecord, hold_router, read_router, write_router
from lkhub.supervise.backoff import Backoff
from lkhub.supervise.timings import USUAL, Timings
from lkhub.wire.control import RenewalFailure


@dataclass
class Renewal:
    """Keeps the mappings of the record alive. `say` is called once when renewing starts to fail, and once when it works
    again. `_answers` has the router's last answer, by the record on disk."""

    paths: StatePaths
    say: Callable[[str], None]
    clock: Callable[[], float] = time.time
    timings: Timings = USUAL
    failure: RenewalFailure | None = None
    _answers: dict[RouterRecord, RouterRecord] = field(default_factory=dict)
    _tried: tuple[RouterRecord, str | None] | None = None
    _again: float = 0.0
    _unwritten: str = ""

    def __post_init__(self) -> None:
        self._backoff = self._new_backoff()

    def _new_backoff(self) -> Backoff:
        return Backoff(self.timings.router_first, self.timings.router_ceiling)

    def write_again(self) -> None:
        """Write the record again after the state directory was removed."""
        for answer in self._answers.values():
            write_router(self.paths, answer)

    async def keep(self) -> None:
        """Call `look`. If the record can't be read, keep the reason for `status`."""
        try:
            await self.look()
        except HubError as error:
            self._fail(error.message, None)

    async def look(self) -> None:
        """Renew the mappings of the record when that is due. Raises HubError if the record can't be read."""
        written = read_router(self.paths)
        if written is None:
            self.failure = None
            return
        record = self._answers.get(written, written)
        # Imported where there are mappings: every other hub starts 4 ms sooner and has 300 KB less without.
        from lkhub.host.router import find_local

        local = find_local(record.gateway)
        # After an outage the mappings may be lost, as after a restart of the router, so they are requested again.
        if self.failure is None and not self._is_due(record, local):
            return
        if self._tried != (record, local):
            self._tried, self._again, self._backoff = (record, local), 0.0, self._new_backoff()
        if anyio.current_time() < self._again:
            return
        with hold_router(self.paths, wait=False) as held:
            # Otherwise the command is changing the record or has changed it, and this one is out of date.
            if held and read_router(self.paths) == written:
                await self._renew(written, record, local)

    def _is_due(self, record: RouterRecord, local: str | None) -> bool:
        """Whether it is time to ask again, or the mappings lead to an address that this machine no longer has."""
        now = self.clock()
        # After the clock was set back, it is not known how long ago the router was asked.
        asked = record.since <= now < record.since + self.timings.router_ask
        return local != record.local or not asked or _is_half_over(record, now)

    async def _renew(self, written: RouterRecord, record: RouterRecord, local: str | None) -> None:
        # Imported here: 4 ms and 300 KB, as above.
        from lkhub.host.router import OtherRouterError, RefusedError, renew

        try:
            answer = await renew(record)
        except Exception as error:
            # Neither a router's answer nor a bug in handling it may end the supervisor and with it every call.
            bug = f"this is a bug in lkhub: {type(error).__name__} while asking the router"
            told = error.message if isinstance(error, HubError) else describe_error(error) if is_refusal(error) else bug
            self._again = anyio.current_time() + self._backoff.next_delay(0.0)
            elsewhere = isinstance(error, OtherRouterError) or local != record.local
            self._fail(told, 0.0 if elsewhere else None if isinstance(error, RefusedError) else record.ends)
            return
        self._answers = {written: answer}
        self._recover()
        if _is_outdated(written, answer, self.clock()):
            self._write(answer)

    def _write(self, answer: RouterRecord) -> None:
        """Write the record. If that fails, the router holds the mappings all the same, and each renewal tries again."""
        try:
            write_router(self.paths, answer)
            self._unwritten = ""
        except MachineError as error:
            if self._unwritten != error.message:
                self.say(f"the router's port mappings were renewed, which is not on record: {error.message}")
            self._unwritten = error.message

    def _fail(self, detail: str, ends: float | None) -> None:
        if self.failure is None:
            self.say(f"the router's port mappings were not renewed: {detail}")
        self.failure = RenewalFailure(detail, self.failure.since if self.failure else self.clock(), ends)

    def _recover(self) -> None:
        if self.failure:
            self.say("the router's port mappings are in order again")
        self.failure = None


def _is_half_over(record: RouterRecord, now: float) -> bool:
    return record.renew_at is not None and now >= record.renew_at


def _is_outdated(written: RouterRecord, answer: RouterRecord, now: float) -> bool:
    """Whether the file differs from the router's answer, or its lease ends soon. Times alone may differ, so that a
    sleeping disk is not woken every two minutes."""
    return _without_times(written) != _without_times(answer) or _is_half_over(written, now)


def _without_times(record: RouterRecord) -> RouterRecord:
    timeless = (replace(each, since=0.0, until=each.until and 0.0) for each in record.mappings)
    return replace(record, mappings=tuple(timeless))
