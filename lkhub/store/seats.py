"""Families of rooms and their seats.

A process that decides about a family locks it first, so one transaction after another changes it, and each counts the
family's version up: who has seen that version already need not read the seats again.
"""

import time
from collections.abc import Collection, Mapping, Sequence, Set
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, text, update

from lkhub.store.rows import execute_rows, insert_rows
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
_COUNT_UP = update(families).where(families.c.name == bindparam("of")).values(version=bindparam("to"))
_DISSOLVE = delete(families).where(families.c.name == bindparam("of"))
_SEATS = select(seats).where(seats.c.family.in_(bindparam("names", expanding=True)))
_KEY = (
    (seats.c.family == bindparam("of_family"))
    & (seats.c.identity == bindparam("of_identity"))
    & (seats.c.room == bindparam("of_room"))
)
_UPDATE = update(seats).where(_KEY).values({name: bindparam(f"to_{name}") for name in SeatRow._fields[3:]})
_DELETE = delete(seats).where(_KEY)

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
        connection.execute(_CREATE, [{"name": name, "version": time.time_ns()} for name in missing])
        found |= _read_locked(connection, missing)
    return found


def _read_locked(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(names), _MOST_NAMES):
        rows = connection.execute(_LOCK, {"names": names[start : start + _MOST_NAMES]})
        found |= {row.name: row.version for row in rows}
    return found


def list_families(connection: Connection) -> dict[str, int]:
    """The version of every family, now."""
    return {row.name: row.version for row in connection.execute(select(families.c.name, families.c.version))}


def read_seats(connection: Connection, names: Collection[str]) -> list[SeatRow]:
    """Every seat of these families."""
    ordered = sorted(names)
    found: list[SeatRow] = []
    for start in range(0, len(ordered), _MOST_NAMES):
        rows = connection.execute(_SEATS, {"names": ordered[start : start + _MOST_NAMES]})
        found += [SeatRow(*row) for row in rows]
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
        execute_rows(connection, _DELETE, [_key(*key) for key in removed])
    if changed:
        execute_rows(connection, _UPDATE, [_change(row) for row in changed])
    if added:
        insert_rows(connection, seats, [row._asdict() for row in added])
    if kept := [{"of": name, "to": version} for name, version in versions.items() if version]:
        execute_rows(connection, _COUNT_UP, kept)
    if gone := [{"of": name} for name, version in versions.items() if not version]:
        execute_rows(connection, _DISSOLVE, gone)


def _key(family: str, identity: str, room: str) -> dict[str, object]:
    return {"of_family": family, "of_identity": identity, "of_room": room}


def _change(row: SeatRow) -> dict[str, object]:
    to = {f"to_{name}": value for name, value in zip(SeatRow._fields[3:], row[3:], strict=True)}
    return {**_key(row.family, row.identity, row.room), **to}
