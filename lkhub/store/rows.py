"""Writing many rows with few statements.

At each statement the driver of SQLite lets the other threads of the process go on, and waits for its next turn: up to
5 ms where another thread computes. PostgreSQL's driver waits for the server each time.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

# Rows of one statement, at most. SQLite may be built to take no more than 999 parameters.
MOST_ROWS = 64


def write_rows(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[str | float | None, ...]],
    *,
    replacing: bool = False,
) -> None:
    """Insert rows, whose values are in the order of `columns`. `replacing`: a row takes the place of the one that has
    its primary key. The driver takes the values as they are, so they are text and numbers alone."""
    for part in _divide(rows):
        text, names = _write(table, columns, len(part), connection.dialect, replacing)
        values = tuple(value for row in part for value in row)
        connection.exec_driver_sql(text, dict(zip(names, values, strict=True)) if names else values)


def insert_into(dialect: Dialect, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that can be told what to do ON CONFLICT. Both databases know it; SQLAlchemy has it for each apart."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)


def _divide(
    rows: Sequence[tuple[str | float | None, ...]],
) -> Iterator[Sequence[tuple[str | float | None, ...]]]:
    """Parts whose lengths are powers of two, so that the databases see the same few statements again and again."""
    start = 0
    while left := len(rows) - start:
        size = min(MOST_ROWS, 1 << left.bit_length() - 1)
        yield rows[start : start + size]
        start += size


@lru_cache(maxsize=64)
def _write(
    table: Table, columns: tuple[str, ...], rows: int, dialect: Dialect, replacing: bool
) -> tuple[str, tuple[str, ...]]:
    """The statement for the driver, and the names of its parameters, row by row; () where they have no names."""
    statement = insert_into(dialect, table)
    statement = statement.values([dict.fromkeys(columns)] * rows)
    if replacing:
        others = [name for name in columns if not table.c[name].primary_key]
        statement = statement.on_conflict_do_update(
            index_elements=list(table.primary_key), set_={name: statement.excluded[name] for name in others}
        )
    compiled = statement.compile(dialect=dialect)
    return str(compiled), () if compiled.positiontup else tuple(compiled.params)
