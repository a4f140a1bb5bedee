"""Writing many rows, on both databases."""

import pytest
from sqlalchemy import select

from lkhub.store.rows import MOST_ROWS, write_rows
from lkhub.store.schema import families, seats
from lkhub.store.seats import SeatRow
from lkhub.store.store import Store

COLUMNS = ("name", "version")


def list_families(store: Store) -> list[tuple[str, int]]:
    with store.reading() as connection:
        return [(row.name, row.version) for row in connection.execute(select(families).order_by(families.c.name))]


def write(store: Store, *rows: tuple[str, int], replacing: bool = False) -> None:
    with store.writing() as connection:
        write_rows(connection, families, COLUMNS, rows, replacing=replacing)


def test_rows_are_written_as_they_are(store: Store) -> None:
    names = ["a", "b%s", "c%(name)s", "d'; --", "é?:x"]
    write(store, *((name, 1) for name in names))
    assert list_families(store) == [(name, 1) for name in names]


@pytest.mark.parametrize("count", [0, 1, 2, 3, MOST_ROWS - 1, MOST_ROWS, MOST_ROWS + 1, 3 * MOST_ROWS + 5])
def test_each_row_is_written_once(store: Store, count: int) -> None:
    rows = [(f"{number:04}", number) for number in range(count)]
    write(store, *rows)
    assert list_families(store) == rows


def test_row_replaces_the_one_with_its_key(store: Store) -> None:
    write(store, ("a", 1), ("b", 1))
    write(store, ("b", 2), ("c", 2**40), replacing=True)
    assert list_families(store) == [("a", 1), ("b", 2), ("c", 2**40)]


def test_rows_of_one_statement_have_values_of_several_kinds(store: Store) -> None:
    held = SeatRow("f", "a", "f", "open", "", "", 60.0, 1234567.125, "boot", 1)
    joined = SeatRow("f", "b", "f", "", "", "PA_1", None, None, "", 2**50)
    with store.writing() as connection:
        write_rows(connection, seats, SeatRow._fields, [held, joined, held._replace(identity="c", hold=1)])
        rows = connection.execute(select(seats).order_by(seats.c.identity)).all()
    assert [SeatRow(*row) for row in rows] == [held, joined, held._replace(identity="c", hold=1.0)]
