"""The families of the store, as one process knows them.

Several processes may work on one store. Each visits a family with its row locked, and reads its seats again if another
process has changed them since the last visit.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from lkhub.service.presets import Presets, name_room, number_room
from lkhub.service.rooms.family import Family, Seat
from lkhub.store.seats import SeatRow, list_families, lock_families, read_seats, write_seats

Item = TypeVar("Item")
Result = TypeVar("Result")


class Clock(Protocol):
    """Counts seconds and never jumps. Clocks of the same `start` show the same; "" is like no other."""

    start: str

    def __call__(self) -> float: ...


class Writes(Protocol):
    """What writes to the store."""

    async def write(self, handler: Callable[[Connection, Sequence[Item]], Sequence[Result]], item: Item) -> Result:
        """As Writer.run_batched."""

    async def run(self, operation: Callable[[Connection], Result]) -> Result:
        """As Writer.run."""


@dataclass(frozen=True)
class Visit(Generic[Result]):
    """What is done to a family. It is done again if the transaction fails, on the family as the store has it."""

    family: str
    do: Callable[[Family, float], Result]


@dataclass(frozen=True)
class FamilyView:
    """A family at one moment: its version, and by number the rooms that have seats, each with the SIDs of the
    participants in it; "" is among them if others are awaited. `due`: it has seats whose time has passed."""

    name: str
    version: int
    rooms: Mapping[int, frozenset[str]]
    due: bool


class Ledger:
    """All seats. Every method raises what `store` raises."""

    def __init__(self, store: Writes, presets: Presets, clock: Clock) -> None:
        self._store, self._presets, self._clock = store, presets, clock
        self._known: dict[str, Family] = {}  # for the writing thread alone

    async def visit(self, family: str, do: Callable[[Family, float], Result]) -> Result:
        """Call `do` with the family and the time on the clock, and return once the changes are committed. `do`
        may be called again."""
        visit: Visit[Any] = Visit(family, do)
        return await self._store.write(self.handle, visit)

    async def view(self) -> list[FamilyView]:
        """Every family in the store."""
        return await self._store.run(self._view)

    def handle(self, connection: Connection, visits: Sequence[Visit[Any]]) -> list[Any]:
        """Make visits within a transaction: a handler of Writer.run_batched. Returns what each `do` returned."""
        now = self._clock()
        families = self._refresh(connection, lock_families(connection, {visit.family for visit in visits}), now)
        for family in families.values():
            family.expire(now)
        results = [visit.do(families[visit.family], now) for visit in visits]
        self._write(connection, families)
        return results

    def _view(self, connection: Connection) -> list[FamilyView]:
        now = self._clock()
        families = self._refresh(connection, list_families(connection), now)
        for name in self._known.keys() - families.keys():
            del self._known[name]
        return [
            FamilyView(name, family.version, family.list_sids(), family.next_deadline <= now)
            for name, family in families.items()
        ]

    def _refresh(self, connection: Connection, versions: Mapping[str, int], now: float) -> dict[str, Family]:
        """The families at these versions. A transaction that failed leaves versions that are not in the store, so what
        it changed is not used either."""
        families: dict[str, Family] = {}
        stale: dict[str, Family] = {}
        for name, version in versions.items():
            known = self._known.get(name)
            if known is not None and known.version == version:
                families[name] = known
            else:
                location = self._presets.locate(name)
                # Without a capacity nobody is given a seat; the earlier ones are cleared by the reconciliation.
                stale[name] = Family(name, version, location.capacity or 0, subrooms=location.has_subrooms)
        if stale:
            for row in read_seats(connection, stale.keys()):
                stale[row.family].restore(self._restore(row, now))
            self._known |= stale
        return families | stale

    def _restore(self, row: SeatRow, now: float) -> Seat:
        number = number_room(row.family, row.room)
        seat = Seat(number, row.identity, row.caller, row.party, row.sid, row.hold, row.changed)
        known = self._known.get(row.family)
        before = known.find(number, row.identity) if known is not None else None
        if row.hold is None:
            seat.deadline = math.inf
        elif row.deadline is not None and row.clock and row.clock == self._clock.start:
            seat.deadline = row.deadline
        elif before is not None and before.changed == row.changed:
            seat.deadline = before.deadline
        else:
            seat.deadline = now + row.hold
        return seat

    def _write(self, connection: Connection, families: Mapping[str, Family]) -> None:
        versions: dict[str, int] = {}
        added: list[SeatRow] = []
        changed: list[SeatRow] = []
        removed: list[tuple[str, str, str]] = []
        for name, family in families.items():
            changes = family.take_changes()
            if changes is not None:
                versions[name] = family.version
                added += [self._pack(name, seat) for seat in changes.added]
                changed += [self._pack(name, seat) for seat in changes.changed]
                removed += [(name, identity, name_room(name, number)) for number, identity in changes.removed]
            if not family:
                versions[name] = 0
                del self._known[name]
        write_seats(connection, versions, added=added, changed=changed, removed=removed)

    def _pack(self, family: str, seat: Seat) -> SeatRow:
        return SeatRow(
            *(family, seat.identity, name_room(family, seat.number), seat.caller, seat.party, seat.sid, seat.hold),
            *(None if seat.hold is None else seat.deadline, self._clock.start, seat.changed),
        )
