"""Seats as they are written and read again."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from lkhub.store.seats import SeatRow, list_families, lock_families, read_seats, write_seats
from lkhub.store.store import Store
from tests.kit.postgres import Postgres
from tests.waiting import DEADLINE_SECONDS, wait_until

AWAITED = SeatRow("voice", "ann", "voice", "open", "friends", "", 60.0, 1060.0, "boot-1", 7)
OTHER = AWAITED._replace(room="voice(2)")


def test_every_column_of_a_seat_is_written_anew_and_of_no_other_seat(store: Store) -> None:
    joined = SeatRow("voice", "ann", "voice", "api-key k1", "team", "PA_1", None, None, "boot-2", 8)
    assert all(old != new for old, new in zip(AWAITED[3:], joined[3:], strict=True))
    with store.writing() as connection:
        lock_families(connection, {"voice"})
        write_seats(connection, {"voice": 7}, added=[AWAITED, OTHER], changed=[], removed=[])
    with store.writing() as connection:
        write_seats(connection, {"voice": 8}, added=[], changed=[joined], removed=[])
    with store.reading() as connection:
        assert sorted(read_seats(connection, ["voice"]), key=lambda row: row.room) == [joined, OTHER]


def test_family_that_comes_again_has_another_version(store: Store) -> None:
    with store.writing() as connection:
        first = lock_families(connection, {"voice"})["voice"]
        write_seats(connection, {"voice": 0}, added=[], changed=[], removed=[])
    with store.writing() as connection:
        assert lock_families(connection, {"voice"})["voice"] != first


def test_families_are_created_and_locked_in_one_order(store: Store) -> None:
    """Or two services that want the same ones would wait for each other."""
    names = {f"room-{number}" for number in range(60)}
    with store.writing() as connection:
        lock_families(connection, {"z"})
        lock_families(connection, names)
        placed = "rowid" if store.is_sqlite else "ctid"
        created = connection.execute(text(f"SELECT name FROM families ORDER BY {placed}")).scalars().all()
        assert created == ["z", *sorted(names)]
        assert list(lock_families(connection, {"z", "room-1"})) == ["room-1", "z"]


def test_family_that_went_while_its_lock_was_waited_for_is_made_again(postgres: Postgres) -> None:
    """The last seat in it ended meanwhile, at another service."""
    url = postgres.create()
    first, other = Store(url), Store(url)

    def lock() -> dict[str, int]:
        with other.writing() as connection:
            return lock_families(connection, {"voice"})

    def waits() -> bool:
        with first.reading() as looking:
            return bool(looking.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar())

    with first.writing() as connection:
        lock_families(connection, {"voice"})
    with ThreadPoolExecutor(1) as pool:
        with first.writing() as connection:
            before = lock_families(connection, {"voice"})
            later = pool.submit(lock)
            wait_until(lambda: later.done() or waits(), "the other service")
            assert not later.done()
            write_seats(connection, {"voice": 0}, added=[], changed=[], removed=[])
        after = later.result(DEADLINE_SECONDS)
    assert after.keys() == {"voice"}
    assert after != before
    first.close()
    other.close()


@pytest.mark.parametrize("name", ["a\0b", "\0", "\1", "a\1\1b", "\0\1\2\0", "a\2b", "\ufffd"], ids=ascii)
def test_every_name_that_livekit_takes_is_read_as_it_was_written(store: Store, name: str) -> None:
    """Applications sign tokens for names that the hub itself would refuse."""
    seat = SeatRow(name, name, f"{name}(2)", "", "", "PA_1", None, None, "", 7)
    with store.writing() as connection:
        lock_families(connection, {name})
        write_seats(connection, {name: 7}, added=[seat], changed=[], removed=[])
    with store.writing() as connection:
        assert (list_families(connection), lock_families(connection, {name})) == ({name: 7}, {name: 7})
        assert read_seats(connection, [name]) == [seat]
        write_seats(connection, {name: 0}, added=[], changed=[], removed=[seat[:3]])
        assert (list_families(connection), read_seats(connection, [name])) == ({}, [])
