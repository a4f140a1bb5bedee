"""Statements for many rows, on both databases."""

from sqlalchemy import bindparam, select, update

from lkhub.store.rows import execute_rows, insert_rows
from lkhub.store.schema import families
from lkhub.store.store import Store

RENAME = update(families).where(families.c.name == bindparam("old")).values(name=bindparam("new"))


def list_families(store: Store) -> list[tuple[str, int]]:
    with store.reading() as connection:
        return [(row.name, row.version) for row in connection.execute(select(families).order_by(families.c.name))]


def test_rows_are_written_as_they_are(store: Store) -> None:
    names = ["a", "b%s", "c%(name)s", "d'; --", "é?:x"]
    with store.writing() as connection:
        insert_rows(connection, families, [{"version": 1, "name": name} for name in names])
    assert list_families(store) == [(name, 1) for name in names]


def test_statement_is_executed_for_each_row(store: Store) -> None:
    with store.writing() as connection:
        insert_rows(connection, families, [{"name": name, "version": 1} for name in "abc"])
        execute_rows(connection, RENAME, [{"new": "x", "old": "a"}, {"old": "c", "new": "z"}])
    assert list_families(store) == [("b", 1), ("x", 1), ("z", 1)]
