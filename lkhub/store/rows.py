"""Statements for many rows, without the half of their time that SQLAlchemy takes to look at each value.

For columns alone whose values the driver takes as they are: text and numbers.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Executable, Table, insert


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows that all have the same columns."""
    execute_rows(connection, _insert(table, tuple(rows[0])), rows)


def execute_rows(connection: Connection, statement: Executable, rows: Sequence[Mapping[str, object]]) -> None:
    """Execute a statement for each row: the values of its parameters by name. It has no other values."""
    text, names = _compile(statement, connection.dialect)
    given = [tuple(row[name] for name in names) for row in rows] if names else list(rows)
    connection.exec_driver_sql(text, given)


@lru_cache(maxsize=32)
def _insert(table: Table, columns: tuple[str, ...]) -> Executable:
    return insert(table).values(dict.fromkeys(columns))


@lru_cache(maxsize=32)
def _compile(statement: Any, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    """The statement for the driver, and the order of its parameters; () where they have names."""
    compiled = statement.compile(dialect=dialect)
    return str(compiled), tuple(compiled.positiontup or ())
