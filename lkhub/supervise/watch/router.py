"""Asks again and again for the port mappings that `lkhub firewall apply --router` asked the router for.

So their lease never ends, and a router that has lost them leads clients here again before long. No router is
asked for anything else, nor another router than that one.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import anyio.to_thread

from lkhub.errors import HubError, MachineError, describe_error, is_refusal
from lkhub.plan.paths import StatePaths
from lkhub.state.router import RouterRecord, hold_router, read_router, write_router
from lkhub.supervise.backoff import Backoff

# Reads one small file, and where there is one the routing table. An address that moved is noticed within this.
LOOK_SECONDS = 10.0

# A router that was restarted has lost its mappings, and tells nobody. One that still has them takes being asked again
# for a longer lease: one message a mapping with PCP, two with UPnP.
ASK_SECONDS = 120.0

# A router takes a minute or two to start again. One that refuses for an hour won't change its mind within seconds, and
# UPnP asks the whole network: no more often than where all is well.
FIRST_SECONDS = 30.0
CEILING_SECONDS = ASK_SECONDS

Way = tuple[str, str]
"""The default gateway, and this machine's address towards it."""


@dataclass(frozen=True)
class Trouble:
    """Mappings that could not be renewed: why, since when, and when the first of them ends; Unix time. `ends` 0: they
    lead to where this machine no longer is; None: not known, as the router refuses what it had granted."""

    detail: str
    since: float
    ends: float | None


def _new_backoff() -> Backoff:
    return Backoff(first=FIRST_SECONDS, ceiling=CEILING_SECONDS)


@dataclass
class Renewal:
    """Keeps what the record lists mapped. `say` hears of a failure once, and of its end. `_answers` has what the router
    said last, by what is written."""

    paths: StatePaths
    say: Callable[[str], None]
    clock: Callable[[], float] = time.time
    trouble: Trouble | None = None
    _answers: dict[RouterRecord, RouterRecord] = field(default_factory=dict)
    _tried: tuple[RouterRecord, Way | None] | None = None
    _again: float = 0.0
    _backoff: Backoff = field(default_factory=_new_backoff)

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
        way = await anyio.to_thread.run_sync(_find_way)
        # A network that was away is back like a router that was restarted: as if nothing had been asked for.
        if self.trouble is None and not _is_due(record, way, self.clock()):
            return
        if self._tried != (record, way):
            self._tried, self._again, self._backoff = (record, way), 0.0, _new_backoff()
        if anyio.current_time() < self._again:
            return
        with hold_router(self.paths, wait=False) as held:
            # Else the command is at it, or was: then there is something else to renew, or nothing.
            if held and read_router(self.paths) == written:
                await self._renew(written, record, way)

    async def _renew(self, written: RouterRecord, record: RouterRecord, way: Way | None) -> None:
        from lkhub.host.router import RefusedError, renew

        try:
            _require_router(record, way)
            answer = await renew(record)
            self._answers = {written: answer}
            if _is_outdated(written, answer, self.clock()):
                write_router(self.paths, answer)
            self._recover()
        except Exception as error:
            # What a router answers, or a library makes of it, must not end the supervisor and every call with it.
            bug = f"this is a bug in lkhub: {type(error).__name__} while asking the router"
            told = error.message if isinstance(error, HubError) else describe_error(error) if is_refusal(error) else bug
            self._again = anyio.current_time() + self._backoff.next_delay(0.0)
            ends = None if isinstance(error, RefusedError) else record.ends
            ends = ends if way == (record.gateway, record.local) else 0.0
            self._fail(told, ends)

    def as_json(self) -> dict[str, Any] | None:
        """What keeps the mappings from being renewed, for `status`."""
        return asdict(self.trouble) if self.trouble else None

    def _fail(self, detail: str, ends: float | None) -> None:
        if self.trouble is None:
            self.say(f"the router's port mappings were not renewed: {detail}")
        self.trouble = Trouble(detail, self.trouble.since if self.trouble else self.clock(), ends)

    def _recover(self) -> None:
        if self.trouble:
            self.say("the router's port mappings are in order again")
        self.trouble = None


def _find_way() -> Way | None:
    # Imported where a router was asked for something: most hubs start 10 ms sooner without.
    from lkhub.host.router import find_gateway

    try:
        return find_gateway()
    except (MachineError, OSError):
        return None


def _is_due(record: RouterRecord, way: Way | None, now: float) -> bool:
    """Whether it is time to ask again, or the mappings lead to where this machine no longer is."""
    # A clock that was set back does not tell how long ago it was.
    asked = record.since <= now < record.since + ASK_SECONDS
    return way != (record.gateway, record.local) or not asked or _is_half_over(record, now)


def _is_half_over(record: RouterRecord, now: float) -> bool:
    return record.renew_at is not None and now >= record.renew_at


def _is_outdated(written: RouterRecord, answer: RouterRecord, now: float) -> bool:
    """Whether the file tells something else than the router, or ends soon. Its times alone may be late: nobody's disk
    is woken every two minutes."""
    return _without_times(written) != _without_times(answer) or _is_half_over(written, now)


def _without_times(record: RouterRecord) -> RouterRecord:
    timeless = (replace(each, since=0.0, until=each.until and 0.0) for each in record.mappings)
    return replace(record, mappings=tuple(timeless))


def _require_router(record: RouterRecord, way: Way | None) -> None:
    """Raise MachineError where the router of the record is not this machine's any more."""
    if way and way[0] != record.gateway:
        raise MachineError(f"they are those of the router at {record.gateway}, and this machine's is now {way[0]}")
