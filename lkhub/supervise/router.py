"""Renews the port mappings that `lkhub firewall apply --router` asked the router for.

No router is asked for anything else, nor another router than that one.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import anyio.to_thread

from lkhub.errors import HubError, MachineError
from lkhub.host.router_record import RouterRecord, hold_router, read_router, write_router
from lkhub.plan.paths import StatePaths
from lkhub.supervise.backoff import Backoff

# Reads one small file, and where there is one the routing table. An address that moved is noticed within this.
LOOK_SECONDS = 10.0

# A router takes a minute or two to start again. One that refuses for an hour won't change its mind within seconds, and
# UPnP asks the whole network.
FIRST_SECONDS = 30.0
CEILING_SECONDS = 600.0

Way = tuple[str, str]
"""The default gateway, and this machine's address towards it."""


@dataclass(frozen=True)
class Trouble:
    """Mappings that could not be renewed: why, since when, and when the first of them ends; Unix time. `ends` 0: they
    lead to where this machine no longer is; None: not known."""

    detail: str
    since: float
    ends: float | None


def _new_backoff() -> Backoff:
    return Backoff(first=FIRST_SECONDS, ceiling=CEILING_SECONDS)


@dataclass
class Renewal:
    """Keeps what the record lists mapped. `say` hears of a failure once, and of its end."""

    paths: StatePaths
    say: Callable[[str], None]
    clock: Callable[[], float] = time.time
    trouble: Trouble | None = None
    _tried: tuple[RouterRecord, Way | None] | None = None
    _again: float = 0.0
    _backoff: Backoff = field(default_factory=_new_backoff)

    async def watch(self) -> None:
        """Look again and again. Never returns."""
        while True:
            try:
                await self.look()
            except HubError as error:
                self._fail(error.message, None)
            await anyio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Renew the mappings of the record when it is time to. Raises HubError where the record can't be read."""
        record = read_router(self.paths)
        if record is None:
            self.trouble = None
            return
        way = await anyio.to_thread.run_sync(_find_way)
        if not _is_due(record, way, self.clock()):
            self._recover()
            return
        if self._tried != (record, way):
            self._tried, self._again, self._backoff = (record, way), 0.0, _new_backoff()
        if anyio.current_time() < self._again:
            return
        with hold_router(self.paths, wait=False) as held:
            # Else the command is at it, or was: then there is something else to renew, or nothing.
            if held and read_router(self.paths) == record:
                await self._renew(record, way)

    async def _renew(self, record: RouterRecord, way: Way | None) -> None:
        from lkhub.host.router import renew

        try:
            _require_router(record, way)
            write_router(self.paths, await renew(record))
            self._recover()
        except Exception as error:
            # What a router answers, or a library makes of it, must not end the supervisor and every call with it.
            bug = f"this is a bug in lkhub: {type(error).__name__} while asking the router"
            self._again = anyio.current_time() + self._backoff.next_delay(0.0)
            ends = record.ends if way == (record.gateway, record.local) else 0.0
            self._fail(error.message if isinstance(error, HubError) else bug, ends)

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
    """Whether half of the lease is over, or the mappings lead to where this machine no longer is."""
    return way != (record.gateway, record.local) or (record.renew_at is not None and now >= record.renew_at)


def _require_router(record: RouterRecord, way: Way | None) -> None:
    """Raise MachineError where the router of the record is not this machine's any more."""
    if way and way[0] != record.gateway:
        raise MachineError(f"they are those of the router at {record.gateway}, and this machine's is now {way[0]}")
