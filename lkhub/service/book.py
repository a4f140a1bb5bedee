"""What a hub keeps about the tokens that it gives away: how often they are asked for, and the audit log."""

import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec.structs import replace
from sqlalchemy import Connection
from starlette.requests import Request

from lkhub.service.access.api_keys import refuse_revoked
from lkhub.service.access.caller import Caller
from lkhub.service.access.local import is_local
from lkhub.service.address import find_address, find_client
from lkhub.service.errors import ApiError, refuse_too_many
from lkhub.service.looks import find_looks
from lkhub.service.rates import Windows
from lkhub.service.storage import Storage
from lkhub.service.tokens import Full, Judged, Reserved, Wish
from lkhub.store.issued import Entry, Outcome, Record, find_taken, forget_issued, note_issued
from lkhub.wire.serve_config import ServeConfig

# Long enough to find out who had a token when something happened, and no longer: the log names people.
KEPT_SECONDS = 90 * 86400
_FORGOTTEN_EVERY_SECONDS = 3600.0


class Seats(Protocol):
    """Who sits where in rooms with a capacity."""

    def reserve(self, connection: Connection, wishes: Sequence[Wish]) -> Sequence[Reserved | Full]:
        """Seats in a transaction, or how long to wait for one."""


class Opening(Protocol):
    """Opens rooms, on a hub where a join opens none."""

    async def prepare(self, room: str) -> None:
        """Open a room in which a seat was given, if it may be open."""


class _Seated(NamedTuple):
    """A token for a room with a capacity."""

    wish: Wish
    record: Record


class Book:
    """The book of one hub. Limits are counted in this process. `seats` is None where no room has a capacity, `opening`
    where joins open rooms."""

    def __init__(
        self, config: ServeConfig, storage: Storage, seats: Seats | None = None, opening: Opening | None = None
    ) -> None:
        limits = config.application.access.limits
        self._config, self._storage, self._seats, self._opening = config, storage, seats, opening
        self._callers, self._addresses = Windows(limits.caller), Windows(limits.address)
        self._rooms = Windows(limits.room)
        # Only where strangers choose identities is it watched how they look.
        self._has_strangers = "open" in config.application.access.modes
        self._forgotten = time.monotonic()

    def admit(self, caller: Caller, judged: Judged, request: Request) -> None:
        """Count the request. Raises ApiError with status 429 where it comes too early."""
        now = time.monotonic()
        counted = [(self._rooms, judged.family, "this room")]
        if caller.kind in ("api-key", "oidc"):
            counted.append((self._callers, caller.text, "this caller"))
        if caller.kind != "api-key" and not is_local(request):
            counted.append((self._addresses, find_client(request, self._config), "this address"))
        for windows, key, of in counted:
            if wait := windows.find_wait(key, now):
                raise refuse_too_many(f"requests for {of}", wait)
        for windows, key, _ in counted:
            windows.count(key, now)

    async def write(self, caller: Caller, judged: Judged, party: str, expires: int, request: Request) -> str:
        """As in lkhub.service.tokens. A seat and its token are one transaction."""
        now = time.time()
        address = find_address(request, self._config)
        entry = Entry(now, caller.text, judged.identity, judged.room, judged.role_name, address)
        record = Record(
            entry=entry,
            api_key=caller.id if caller.kind == "api-key" else "",
            looks=find_looks(judged.identity) if self._has_strangers else (),
            asked=judged.family,
            typed=judged.typed,
            until=expires,
        )
        room = judged.room
        if self._seats and judged.seated:
            wish = Wish(room, judged.identity, caller.text, party)
            seat, outcome = await self._storage.write(self._note_seated, _Seated(wish, record))
            if isinstance(seat, Full):
                headers = {"retry-after": str(seat.retry_after)}
                raise ApiError(409, "the room is full", f"ask again in {seat.retry_after} s", headers, code="room-full")
            room = seat.room if seat else room
        else:
            outcome = await self._storage.write(note_issued, record)
        if outcome == "revoked":
            raise refuse_revoked()
        if outcome == "taken":
            problem = "identity: it looks like one that somebody else has in this room"
            raise ApiError(409, problem, "choose another", code="identity-taken")
        if self._opening and judged.seated:
            await self._opening.prepare(room)
        await self._forget(now)
        return room

    def _note_seated(
        self, connection: Connection, tokens: Sequence[_Seated]
    ) -> list[tuple[Reserved | Full | None, Outcome | None]]:
        assert self._seats
        # Asked first: who is refused would keep a seat from others for a minute.
        taken = find_taken(connection, [token.record for token in tokens])
        wishes = [token.wish for token, refused in zip(tokens, taken, strict=True) if not refused]
        given = iter(self._seats.reserve(connection, wishes))
        seats = [None if refused else next(given) for refused in taken]
        records = [
            replace(token.record, entry=replace(token.record.entry, room=seat.room))
            for token, seat in zip(tokens, seats, strict=True)
            if isinstance(seat, Reserved)
        ]
        outcomes = iter(note_issued(connection, records))
        return [
            (seat, "taken" if seat is None else next(outcomes) if isinstance(seat, Reserved) else None)
            for seat in seats
        ]

    async def _forget(self, now: float) -> None:
        """Forget what is old, now and then."""
        if time.monotonic() - self._forgotten < _FORGOTTEN_EVERY_SECONDS:
            return
        self._forgotten = time.monotonic()
        await self._storage.run(lambda connection: forget_issued(connection, now - KEPT_SECONDS, now))
