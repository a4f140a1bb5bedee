"""The audit log of issued tokens."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import astuple
from sqlalchemy import ColumnElement, Connection, delete, exists, select, text

from lkhub.store.api_keys import find_revoked
from lkhub.store.names import pack
from lkhub.store.rows import insert_into, write_rows
from lkhub.store.schema import issued, looks

# In place of a caller, of those who are in a room: their tokens may be others' than the hub's.
JOINED = "joined"


class Entry(Struct, frozen=True):
    """One token: who got it, for what, from where. Times are in Epoch seconds."""

    at: float
    caller: str
    identity: str
    room: str
    role: str
    address: str


class Record(Struct, frozen=True):
    """A token that is about to be given away. `api_key` is the id of the caller's key, or "". `looks`: the keys of how
    the identity looks, where that is watched; `asked` is the room that was asked for. `typed`: a stranger chose the
    identity, so it may not look like another's. `until` is when the token ends."""

    entry: Entry
    api_key: str
    looks: tuple[str, ...]
    asked: str
    typed: bool
    until: float


Outcome: TypeAlias = Literal["noted", "revoked", "taken"]


def note_issued(connection: Connection, records: Sequence[Record]) -> list[Outcome]:
    """Note tokens before they are given away. Those with an outcome other than `noted` are not to be given away: the
    API key was revoked, or the identity looks like one that somebody else has in this room."""
    revoked = find_revoked(connection, {record.api_key for record in records if record.api_key})
    outcomes: list[Outcome] = ["revoked" if record.api_key in revoked else "noted" for record in records]
    _lock_rooms(connection, [record for record in records if record.typed])
    for index, record in enumerate(records):
        if outcomes[index] == "noted" and record.looks:
            if record.typed and _is_taken(connection, record):
                outcomes[index] = "taken"
            else:
                entry = record.entry
                _claim(connection, record.asked, entry.identity, entry.caller, record.looks, record.until)
    rows = [astuple(record.entry) for record, outcome in zip(records, outcomes, strict=True) if outcome == "noted"]
    write_rows(connection, issued, Entry.__struct_fields__, rows)
    return outcomes


def find_taken(connection: Connection, records: Sequence[Record]) -> list[bool]:
    """Which of these tokens are for an identity that looks like somebody else's in the room. What else is written
    meanwhile is seen by `note_issued` alone."""
    return [record.typed and _is_taken(connection, record) for record in records]


class Presence(Struct, frozen=True):
    """A participant came into a room, or left it. `looks` are as in Record, and `until` is when it has left at the
    latest: the event that tells it may be lost."""

    room: str
    identity: str
    looks: tuple[str, ...]
    joined: bool
    until: float


def note_presence(connection: Connection, presences: Sequence[Presence]) -> list[None]:
    """Note whose identities are in a room, whoever signed their tokens: no stranger gets one that looks alike."""
    for each in presences:
        room, identity = pack(each.room), pack(each.identity)
        if each.joined:
            _claim(connection, room, identity, JOINED, [pack(look) for look in each.looks], each.until)
        else:
            gone = (looks.c.room == room, looks.c.identity == identity, looks.c.caller == JOINED)
            connection.execute(delete(looks).where(*gone))
    return [None] * len(presences)


def list_issued(connection: Connection, limit: int, room: str = "") -> list[Entry]:
    """The last tokens, the newest first."""
    query = select(*(issued.c[name] for name in Entry.__struct_fields__)).order_by(issued.c.id.desc()).limit(limit)
    if room:
        query = query.where(issued.c.room == room)
    return [Entry(*row) for row in connection.execute(query)]


def forget_issued(connection: Connection, before: float, now: float) -> None:
    """Delete what was issued before a time, and the looks of identities whose tokens have ended, except of those that
    are in a room: they may come again."""
    connection.execute(delete(issued).where(issued.c.at < before))
    joined = _find_row(looks.c.room, looks.c.identity, JOINED, now)
    connection.execute(delete(looks).where(looks.c.until < now, ~joined))


def _lock_rooms(connection: Connection, records: Sequence[Record]) -> None:
    """Two identities that look alike are not given away at once by two processes. SQLite has one writer at a time."""
    if connection.dialect.name == "postgresql":
        for room in sorted({record.asked for record in records}):
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:room, 5566))"), {"room": room})


def _is_taken(connection: Connection, record: Record) -> bool:
    room, identity, caller = record.asked, record.entry.identity, record.entry.caller
    # A participant that is in the room is the caller itself if the hub gave the identity to the caller before.
    itself = (looks.c.caller == JOINED) & _find_row(room, identity, caller)
    other = (looks.c.identity != identity) | ((looks.c.caller != caller) & ~itself)
    taken = select(looks.c.identity).where(
        looks.c.room == room, looks.c.look.in_(record.looks), looks.c.until > record.entry.at, other
    )
    return connection.execute(taken.limit(1)).first() is not None


def _find_row(
    room: str | ColumnElement[str], identity: str | ColumnElement[str], caller: str, now: float | None = None
) -> ColumnElement[bool]:
    """Whether this caller has the identity in the room; with `now`, whether that has not ended."""
    row = looks.alias()
    found = exists().where(row.c.room == room, row.c.identity == identity, row.c.caller == caller)
    return found if now is None else found.where(row.c.until > now)


def _claim(connection: Connection, room: str, identity: str, caller: str, keys: Sequence[str], until: float) -> None:
    statement = insert_into(connection.dialect, looks)
    renewed = statement.on_conflict_do_update(
        index_elements=["room", "look", "identity", "caller"],
        set_={"until": statement.excluded.until},
        where=looks.c.until < statement.excluded.until,
    )
    row = {"room": room, "identity": identity, "caller": caller, "until": until}
    connection.execute(renewed, [row | {"look": look} for look in sorted(set(keys))])
