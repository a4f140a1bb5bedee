"""What happened in rooms, in the order of arrival, and what the events say is there now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, Select, delete, exists, func, insert, or_, select, text

from lkhub.store.locks import Lock
from lkhub.store.rows import insert_into
from lkhub.store.schema import deliveries, events, present


class Here(NamedTuple):
    """A room, participant or track that is there. `room` and `participant` are SIDs: of its room, and of a track's
    participant. `body` has the objects for the event that tells that it is gone."""

    sid: str
    room: str
    participant: str
    body: str


@dataclass(frozen=True)
class NewEvent:
    """An event to be stored. `receivers` get it. `came` is what it says is there, `went` the SID of what is gone with
    all that was in it. `at` is Epoch seconds."""

    id: str
    room: str
    name: str
    body: str
    at: float
    receivers: tuple[str, ...] = ()
    came: Here | None = None
    went: str = ""


class StoredEvent(NamedTuple):
    """An event as it was stored. `sequence` grows with each event."""

    sequence: int
    id: str
    room: str
    name: str
    body: str
    at: float


def name_stored(room: str) -> str:
    """The name by which events of a room are found. LiveKit takes U+0000 in it, and PostgreSQL refuses that. The body
    has the name as it is."""
    return room.replace("\0", "\ufffd")


_STORED = (events.c.sequence, events.c.id, events.c.room, events.c.name, events.c.body, events.c.at)


def add_events(connection: Connection, items: Sequence[NewEvent]) -> list[bool]:
    """Store events in their order, with their deliveries. False for an event that was stored before."""
    if connection.dialect.name == "postgresql":
        # A sequence is visible only once all smaller ones are: readers remember the last that they have seen.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": int(Lock.ORDER_OF_EVENTS)})
    ids = {item.id for item in items}
    known = set(connection.execute(select(events.c.id).where(events.c.id.in_(ids))).scalars())
    new: list[NewEvent] = []
    results = []
    for item in items:
        results.append(item.id not in known)
        if item.id not in known:
            known.add(item.id)
            new.append(item)
    if not new:
        return results
    rows = [{"id": e.id, "room": name_stored(e.room), "name": e.name, "body": e.body, "at": e.at} for e in new]
    adding = insert(events).returning(events.c.sequence, sort_by_parameter_order=True)
    sequences = list(connection.execute(adding, rows).scalars())
    pending = [
        {
            "event": sequence,
            "receiver": receiver,
            "room": name_stored(event.room),
            "state": "pending",
            "attempts": 0,
            "problem": "",
            "since": event.at,
            "changed": event.at,
        }
        for sequence, event in zip(sequences, new, strict=True)
        for receiver in event.receivers
    ]
    if pending:
        connection.execute(insert(deliveries), pending)
    _note_present(connection, new)
    return results


def _note_present(connection: Connection, new: Iterable[NewEvent]) -> None:
    came: dict[str, Here] = {}
    went: list[str] = []
    for event in new:
        if event.came:
            came[event.came.sid] = event.came
        if event.went:
            went.append(event.went)
            gone = [sid for sid, here in came.items() if event.went in here[:3]]
            for sid in gone:
                del came[sid]
    if went:
        columns = (present.c.sid, present.c.room, present.c.participant)
        connection.execute(delete(present).where(or_(*(column.in_(went) for column in columns))))
    if came:
        arrived = insert_into(connection.dialect, present).on_conflict_do_nothing()
        connection.execute(arrived, [here._asdict() for here in came.values()])


def list_present(connection: Connection) -> list[Here]:
    """What is there, as far as the events say."""
    columns = (present.c.sid, present.c.room, present.c.participant, present.c.body)
    return [Here._make(row) for row in connection.execute(select(*columns))]


def list_after(connection: Connection, sequence: int, limit: int) -> list[StoredEvent]:
    """The events after one, the oldest first."""
    return _list(connection, select(*_STORED).where(events.c.sequence > sequence).limit(limit))


def find_event(connection: Connection, id: str) -> StoredEvent | None:
    return next(iter(_list(connection, select(*_STORED).where(events.c.id == id))), None)


def _list(connection: Connection, query: Select[tuple[int, str, str, str, str, float]]) -> list[StoredEvent]:
    return [StoredEvent._make(row) for row in connection.execute(query.order_by(events.c.sequence))]


def find_last(connection: Connection) -> int:
    """The sequence of the last event, 0 before the first."""
    return connection.execute(select(func.max(events.c.sequence))).scalar() or 0


def is_kept(connection: Connection, sequence: int) -> bool:
    """Whether the event is still in the store."""
    return bool(connection.execute(select(events.c.sequence).where(events.c.sequence == sequence)).scalar())


def forget_events(connection: Connection, before: float, most: int, limit: int) -> int:
    """Delete up to `limit` events that were stored before a time, or that are more than `most`, the oldest first, with
    their deliveries. An event that waits for a receiver is kept. So is the last of all: after a quiet week SQLite would
    begin again with the first sequence, and readers remember the last that they have seen. Returns how many were
    deleted."""
    last = find_last(connection)
    waits = exists().where(deliveries.c.event == events.c.sequence, deliveries.c.state == "pending")
    old = or_(events.c.at < before, events.c.sequence <= last - most)
    gone = select(events.c.sequence).where(old, ~waits, events.c.sequence < last)
    found = list(connection.execute(gone.order_by(events.c.sequence).limit(limit)).scalars())
    if found:
        connection.execute(delete(events).where(events.c.sequence.in_(found)))
    return len(found)
