"""Seats in a store, with several processes that work on it."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, select

from lkhub.service.presets import Presets
from lkhub.service.rooms.family import JOIN_SECONDS, Family
from lkhub.service.rooms.ledger import Ledger
from lkhub.service.rooms.seats import Seats
from lkhub.service.tokens import Full, Reserved
from lkhub.store.errors import StoreError
from lkhub.store.schema import families, seats
from lkhub.store.store import Store
from tests.service.rooms.kit import Clock, Direct, preset, reserve

pytestmark = pytest.mark.anyio

PRESETS = Presets([preset("voice-*", 16), preset("hall", 2, "reject")])


class Process:
    """What one `lkhub serve` has: its connection to the store, and its clock."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self.store, self.clock = Store(url), clock or Clock()
        self.ledger = Ledger(Direct(self.store), PRESETS, self.clock)
        self.seats = Seats(self.ledger, PRESETS)

    async def take(self, room: str, *identities: str) -> list[str | None]:
        """The rooms that these identities get, None for one that is refused."""
        answers = await asyncio.gather(*(reserve(self.store, self.seats, room, each) for each in identities))
        return [answer.room if isinstance(answer, Reserved) else None for answer in answers]


@pytest.fixture
def one(url: str) -> Iterator[Process]:
    process = Process(url)
    yield process
    process.store.close()


@pytest.fixture
def other(url: str, one: Process) -> Iterator[Process]:
    process = Process(url)
    yield process
    process.store.close()


def stored(process: Process) -> Counter[str]:
    """How many seats the store has in each room."""
    with process.store.reading() as connection:
        return Counter(connection.execute(select(seats.c.room)).scalars())


async def test_full_room_is_refused_with_a_time(one: Process) -> None:
    assert await one.take("hall", "a", "b", "c", "a") == ["hall", "hall", None, "hall"]
    one.clock.now += JOIN_SECONDS - 4
    assert await reserve(one.store, one.seats, "hall", "c") == Full(4)
    one.clock.now += 4
    assert await one.take("hall", "c") == ["hall"]


async def test_a_thousand_at_once_over_two_processes_waste_no_seat(one: Process, other: Process) -> None:
    rooms = await asyncio.gather(
        one.take("voice-a", *(f"one-{number}" for number in range(500))),
        other.take("voice-a", *(f"other-{number}" for number in range(500))),
    )
    taken = Counter(rooms[0] + rooms[1])
    assert sorted(taken.values()) == [8] + [16] * 62
    assert stored(one) == taken


async def test_what_one_process_gives_the_other_knows(one: Process, other: Process) -> None:
    assert await one.take("hall", "a") == ["hall"]
    assert await other.take("hall", "b", "c") == ["hall", None]
    assert await one.take("hall", "b", "c") == ["hall", None]


async def test_reservation_of_a_process_that_is_gone_ends(one: Process, other: Process) -> None:
    await one.take("hall", "a", "b")
    other.clock.now += 1_000_000  # clocks of two machines have nothing in common
    assert await other.take("hall", "c") == [None]
    other.clock.now += JOIN_SECONDS
    assert await other.take("hall", "c") == ["hall"]


@pytest.fixture
def clock() -> Clock:
    """The clock of a machine, which all its processes have."""
    return Clock("this start of this machine")


async def test_restarted_process_goes_on_with_what_remains_of_a_reservation(url: str, clock: Clock) -> None:
    """However often it is started again: a service that crashes all the time gives seats back too."""
    process = Process(url, clock)
    await process.take("hall", "a", "b")
    for _ in range(6):
        process.store.close()
        process = Process(url, clock)
        assert await process.take("hall", "c") == [None]
        clock.now += JOIN_SECONDS / 6
    assert await process.take("hall", "c") == ["hall"]
    process.store.close()


async def test_processes_of_one_machine_free_a_seat_at_the_same_time(url: str, clock: Clock) -> None:
    one, other = Process(url, clock), Process(url, clock)
    await one.take("hall", "a", "b")
    clock.now += JOIN_SECONDS - 1
    assert await other.take("hall", "c") == [None]
    assert await reserve(other.store, other.seats, "hall", "c") == Full(1)
    clock.now += 1
    assert await other.take("hall", "c") == ["hall"]
    one.store.close()
    other.store.close()


@pytest.mark.parametrize("ahead", [-3600.0, 0.0, 3600.0])
async def test_process_after_a_start_of_the_machine_counts_anew(url: str, clock: Clock, ahead: float) -> None:
    """Nothing that it could compare tells how long the machine was down."""
    before = Process(url, clock)
    await before.take("hall", "a", "b")
    before.store.close()
    again = Clock("the next start")
    again.now = clock.now + ahead
    after = Process(url, again)
    again.now += JOIN_SECONDS - 1
    assert await after.take("hall", "c") == [None]
    again.now += JOIN_SECONDS - 1
    assert await after.take("hall", "c") == [None]
    again.now += 1
    assert await after.take("hall", "c") == ["hall"]
    after.store.close()


async def test_time_of_a_reservation_is_not_counted_anew_when_others_change_the_family(
    one: Process, other: Process
) -> None:
    await one.take("hall", "a")
    one.clock.now += JOIN_SECONDS - 1
    await other.take("hall", "b")
    assert await one.take("hall", "c") == [None]
    one.clock.now += 1
    assert await one.take("hall", "c") == ["hall"]


async def test_seats_are_read_once_while_no_other_process_writes(one: Process, other: Process) -> None:
    reads: list[str] = []

    @event.listens_for(one.store._engine, "before_cursor_execute")
    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM seats" in statement and statement.startswith("SELECT"):
            reads.append(statement)

    await one.take("voice-a", "a")
    await one.take("voice-a", "b")
    await one.take("voice-a", "c")
    assert len(reads) == 1
    await other.take("voice-a", "d")
    await one.take("voice-a", "e")
    assert len(reads) == 2


async def test_family_without_seats_leaves_no_row(one: Process) -> None:
    await one.take("voice-a", "a")
    await one.ledger.visit("voice-a", lambda family, _: family.clear())
    with one.store.reading() as connection:
        assert connection.execute(select(families)).all() == []
    assert await one.take("voice-a", "b") == ["voice-a"]


async def test_transaction_that_fails_leaves_no_seat_behind(one: Process) -> None:
    await one.take("hall", "a")

    def fail(family: Family, now: float) -> None:
        family.reserve("lost", "", "", 1, now)
        family.leave(1, "a", "", now, returns=False)
        raise LookupError("a bug")

    with pytest.raises(LookupError):
        await one.ledger.visit("hall", fail)
    assert await one.take("hall", "b", "c") == ["hall", None]
    assert await one.take("hall", "a") == ["hall"]
    assert stored(one) == {"hall": 2}


async def test_commit_that_fails_leaves_no_seat_behind(one: Process) -> None:
    await one.take("hall", "a")
    broken = True

    @event.listens_for(one.store._engine, "commit")
    def fail(_: Connection) -> None:
        if broken:
            raise RuntimeError("the power failed")

    with pytest.raises(RuntimeError):
        await one.take("hall", "lost")
    broken = False
    assert await one.take("hall", "b", "c") == ["hall", None]
    assert stored(one) == {"hall": 2}


async def test_change_that_was_undone_is_not_taken_for_a_change_of_another_process(
    one: Process, other: Process
) -> None:
    """Both would be the next version of the family, and only the other's is in the store."""
    await one.take("hall", "a", "b")
    await other.take("hall", "a")
    await one.take("hall", "a")  # both processes know the family as it is

    def fail(family: Family, now: float) -> None:
        family.leave(1, "b", "", now, returns=False)
        raise LookupError("a bug")

    with pytest.raises(LookupError):
        await one.ledger.visit("hall", fail)
    await other.ledger.visit("hall", lambda family, _: family.join(1, "a", "PA_a"))
    assert await one.take("hall", "c") == [None]


async def test_restarted_process_keeps_every_seat(url: str) -> None:
    first = Process(url)
    await first.take("voice-a", *map(str, range(20)))
    await first.ledger.visit("voice-a", lambda family, _: family.join(1, "0", "PA_0"))
    first.store.close()
    again = Process(url)
    assert await again.take("voice-a", "0", "19", "20") == ["voice-a", "voice-a(2)", "voice-a(2)"]
    (view,) = await again.ledger.view()
    assert view.rooms == {1: {"PA_0", ""}, 2: {""}}
    again.clock.now += JOIN_SECONDS
    (view,) = await again.ledger.view()
    assert view.due
    await again.ledger.visit("voice-a", lambda *_: None)
    assert stored(again) == {"voice-a": 1}
    again.store.close()


async def test_store_that_is_away_is_told_and_comes_back(tmp_path: Path) -> None:
    process = Process(f"sqlite:///{tmp_path}/store.db")
    await process.take("hall", "a")
    (tmp_path / "store.db").rename(tmp_path / "away")
    with pytest.raises(StoreError, match="removed or replaced"):
        await process.take("hall", "b")
    (tmp_path / "away").rename(tmp_path / "store.db")
    assert await process.take("hall", "b", "c") == ["hall", None]
    process.store.close()
