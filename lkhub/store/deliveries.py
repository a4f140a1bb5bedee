"""What is owed to the receivers of webhooks. The events of one room reach a receiver in their order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from sqlalchemy import Connection, bindparam, func, select, update

from lkhub.store.schema import deliveries, events

State: TypeAlias = Literal["pending", "delivered", "dead"]


class Delivery(NamedTuple):
    """An event on its way to a receiver. `attempts` were made before; `since` is when it began to wait, `changed` when
    it got its state or the last attempt failed, in Epoch seconds. `problem` is of the last attempt, or ""."""

    sequence: int
    id: str
    name: str
    room: str
    receiver: str
    state: State
    attempts: int
    problem: str
    since: float
    changed: float


@dataclass(frozen=True)
class Attempt:
    """What became of an attempt, `attempts` in all."""

    sequence: int
    receiver: str
    state: State
    attempts: int
    problem: str
    changed: float


class Count(NamedTuple):
    """How many deliveries of a receiver are in this state, and when the oldest of them changed."""

    receiver: str
    state: State
    number: int
    since: float


_DELIVERY = (
    *(events.c.sequence, events.c.id, events.c.name, events.c.room, deliveries.c.receiver, deliveries.c.state),
    *(deliveries.c.attempts, deliveries.c.problem, deliveries.c.since, deliveries.c.changed),
)
_JOINED = deliveries.join(events, events.c.sequence == deliveries.c.event)


def list_rooms(connection: Connection, receiver: str) -> dict[str, int]:
    """The rooms of which events wait for a receiver, and the sequence of the first event of each."""
    waiting = (deliveries.c.receiver == receiver, deliveries.c.state == "pending")
    query = select(deliveries.c.room, func.min(deliveries.c.event)).where(*waiting).group_by(deliveries.c.room)
    return {row[0]: row[1] for row in connection.execute(query)}


def list_next(connection: Connection, receiver: str, room: str, limit: int) -> list[tuple[Delivery, str]]:
    """The next deliveries of a room to a receiver, each with the body of its event."""
    waiting = (deliveries.c.receiver == receiver, deliveries.c.state == "pending", deliveries.c.room == room)
    query = select(*_DELIVERY, events.c.body).select_from(_JOINED).where(*waiting)
    found = connection.execute(query.order_by(deliveries.c.event).limit(limit))
    return [(Delivery._make(row[:-1]), row[-1]) for row in found]


def note_attempts(connection: Connection, items: Sequence[Attempt]) -> list[None]:
    """Keep what became of attempts."""
    changes = (
        update(deliveries)
        .where(deliveries.c.event == bindparam("of"), deliveries.c.receiver == bindparam("to"))
        .values({name: bindparam(f"new_{name}") for name in ("state", "attempts", "problem", "changed")})
    )
    rows = [
        {
            "of": item.sequence,
            "to": item.receiver,
            "new_state": item.state,
            "new_attempts": item.attempts,
            "new_problem": item.problem,
            "new_changed": item.changed,
        }
        for item in items
    ]
    connection.execute(changes, rows)
    return [None] * len(items)


def bury_unknown(connection: Connection, receivers: Sequence[str], problem: str, now: float) -> int:
    """What waits for a receiver that is none of these is dead. Returns how many."""
    of_others = (deliveries.c.state == "pending", deliveries.c.receiver.notin_(receivers))
    return connection.execute(
        update(deliveries).where(*of_others).values(state="dead", problem=problem, changed=now)
    ).rowcount


def count_deliveries(connection: Connection, receivers: Sequence[str] | None = None) -> list[Count]:
    """How many are in each state; of these receivers, how many wait or are dead."""
    columns = (deliveries.c.receiver, deliveries.c.state)
    query = select(*columns, func.count(), func.min(deliveries.c.changed)).group_by(*columns).order_by(*columns)
    if receivers is not None:
        query = query.where(deliveries.c.receiver.in_(receivers), deliveries.c.state.in_(("pending", "dead")))
    return [Count._make(row) for row in connection.execute(query)]


def list_deliveries(connection: Connection, states: Sequence[State], limit: int, id: str = "") -> list[Delivery]:
    """The deliveries in these states, the newest first; those of one event where `id` names it."""
    query = select(*_DELIVERY).select_from(_JOINED).where(deliveries.c.state.in_(states))
    if id:
        query = query.where(events.c.id == id)
    newest = query.order_by(events.c.sequence.desc(), deliveries.c.receiver).limit(limit)
    return [Delivery._make(row) for row in connection.execute(newest)]


def revive(connection: Connection, ids: Sequence[str] | None, receiver: str, now: float) -> int:
    """Let dead deliveries wait again: of these events (None: all), to a receiver ("": all). Returns how many."""
    dead = update(deliveries).where(deliveries.c.state == "dead")
    if ids is not None:
        dead = dead.where(deliveries.c.event.in_(select(events.c.sequence).where(events.c.id.in_(ids))))
    if receiver:
        dead = dead.where(deliveries.c.receiver == receiver)
    return connection.execute(dead.values(state="pending", attempts=0, problem="", since=now, changed=now)).rowcount


def move(connection: Connection, ids: Sequence[str] | None, receivers: Sequence[str], to: str) -> None:
    """Let what these receivers did not take, of these events (None: all), be given up for another one, which `revive`
    sends it. What that one was owed itself is left as it is."""
    own = select(deliveries.c.event).where(deliveries.c.receiver == to)
    for receiver in receivers:
        owed = (deliveries.c.receiver == receiver, deliveries.c.state.in_(("pending", "dead")))
        moved = update(deliveries).where(*owed, deliveries.c.event.notin_(own))
        if ids is not None:
            moved = moved.where(deliveries.c.event.in_(select(events.c.sequence).where(events.c.id.in_(ids))))
        connection.execute(moved.values(receiver=to, state="dead"))
