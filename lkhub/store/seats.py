"""Families of rooms and their seats.

A process that decides about a family locks it first, so one transaction after another changes it, and each counts the
family's version up: who has seen that version already need not read the seats again.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, text

from lkhub.store.names import pack, unpack
from lkhub.store.rows import write_rows
from lkhub.store.schema import families, seats


class SeatRow(NamedTuple):
    """A row of `seats`. `hold` is in seconds, `deadline` is on the clock `clock`; None for a participant that has
    joined and has no newer token."""

    family: str
    identity: str
    room: str
    caller: str
    party: str
    sid: str
    hold: float | None
    deadline: float | None
    clock: str
    changed: int


# Both databases know it; SQLAlchemy has it for each apart.
_CREATE = text("INSERT INTO families (name, version) VALUES (:name, :version) ON CONFLICT (name) DO NOTHING")
_LOCK = (
    select(families.c.name, families.c.version)
    .where(families.c.name.in_(bindparam("names", expanding=True)))
    .order_by(families.c.name)
    .with_for_update()
)
_DISSOLVE = delete(families).where(families.c.name == bindparam("of"))
_SEATS = select(seats).where(seats.c.family.in_(bindparam("names", expanding=True)))
_KEY = ("of_family", "of_identity", "of_room")
_DELETE = delete(seats).where(
    *(column == bindparam(name) for column, name in zip(seats.primary_key, _KEY, strict=True))
)

# SQLite takes at most 32,766 parameters in one statement, and older ones 999.
_MOST_NAMES = 500


def lock_families(connection: Connection, names: Set[str]) -> dict[str, int]:
    """The version of each family, which no other process changes until the transaction ends. A family that was not
    there gets a version that it did not have before.

    All processes create and lock families in one order, or PostgreSQL would find two of them waiting for each other.
    """
    # In SQLite a transaction that writes has no other beside it, so most families need not be created first.
    found = _read_locked(connection, sorted(names)) if connection.dialect.name == "sqlite" else {}
    while missing := sorted(names - found.keys()):  # again for a family that went while its lock was waited for
        connection.execute(_CREATE, [{"name": pack(name), "version": time.time_ns()} for name in missing])
        found |= _read_locked(connection, missing)
    return found


def _read_locked(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(names), _MOST_NAMES):
        rows = connection.execute(_LOCK, {"names": [pack(name) for name in names[start : start + _MOST_NAMES]]})
        found |= {unpack(row.name): row.version for row in rows}
    return found


def list_families(connection: Connection) -> dict[str, int]:
    """The version of every family, now."""
    return {unpack(row.name): row.version for row in connection.execute(select(families.c.name, families.c.version))}


def read_seats(connection: Connection, names: Collection[str]) -> list[SeatRow]:
    """Every seat of these families."""
    ordered = sorted(map(pack, names))
    found: list[SeatRow] = []
    for start in range(0, len(ordered), _MOST_NAMES):
        rows = connection.execute(_SEATS, {"names": ordered[start : start + _MOST_NAMES]})
        found += [_rename(SeatRow(*row), unpack) for row in rows]
    return found


def write_seats(
    connection: Connection,
    versions: Mapping[str, int],
    *,
    added: Sequence[SeatRow],
    changed: Sequence[SeatRow],
    removed: Sequence[tuple[str, str, str]],
) -> None:
    """Write what became of locked families: their new versions, 0 for a family without seats, which goes. `removed` has
    family, identity and room of seats that are gone, some of which may be among `added` again."""
    if removed:
        connection.execute(_DELETE, [dict(zip(_KEY, map(pack, key), strict=True)) for key in removed])
    write_rows(connection, seats, SeatRow._fields, [_rename(row, pack) for row in (*changed, *added)], replacing=True)
    kept = [(pack(name), version) for name, version in versions.items() if version]
    write_rows(connection, families, ("name", "version"), kept, replacing=True)
    if gone := [{"of": pack(name)} for name, version in versions.items() if not version]:
        connection.execute(_DISSOLVE, gone)


def _rename(row: SeatRow, how: Callable[[str], str]) -> SeatRow:
    names = how(row.family), how(row.identity), how(row.room)
    if names == row[:3]:
        return row
    return row._replace(family=names[0], identity=names[1], room=names[2])
