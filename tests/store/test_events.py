"""Events: stored once, in order, with what they say is there and what is owed to receivers."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, text

from lkhub.store import deliveries as owed
from lkhub.store.deliveries import Attempt
from lkhub.store.events import (
    Here,
    NewEvent,
    add_events,
    find_event,
    find_last,
    forget_events,
    is_kept,
    list_after,
    list_present,
)
from lkhub.store.schema import deliveries
from lkhub.store.store import Store
from tests.kit.postgres import Postgres
from tests.waiting import DEADLINE_SECONDS, wait_until

A, B = "https://a.example/", "https://b.example/"


def event(number: int, room: str = "lobby", receivers: tuple[str, ...] = (A, B), at: float = 100.0) -> NewEvent:
    return NewEvent(f"EV_{number}", room, "track_published", json.dumps({"n": number}), at, receivers)


def add(store: Store, *items: NewEvent) -> list[bool]:
    with store.writing() as connection:
        return add_events(connection, items)


def ids(store: Store, receiver: str = A, room: str = "lobby") -> list[str]:
    with store.reading() as connection:
        return [delivery.id for delivery, _ in owed.list_next(connection, receiver, room, 100)]


def settle(store: Store, sequence: int, receiver: str = A, state: owed.State = "delivered", problem: str = "") -> None:
    with store.writing() as connection:
        owed.note_attempts(connection, [Attempt(sequence, receiver, state, 1, problem, 200.0)])


def test_name_of_a_room_may_have_what_postgresql_refuses(store: Store) -> None:
    assert add(store, event(1, room="a\0b")) == [True]
    assert ids(store, room="a\ufffdb") == ["EV_1"]


def test_events_are_kept_once_and_in_order(store: Store) -> None:
    assert add(store, event(1), event(2), event(1)) == [True, True, False]
    assert add(store, event(2), event(3)) == [False, True]
    with store.reading() as connection:
        stored = list_after(connection, 0, 10)
        assert [each.id for each in stored] == ["EV_1", "EV_2", "EV_3"]
        assert [json.loads(each.body)["n"] for each in stored] == [1, 2, 3]
        assert [each.id for each in list_after(connection, stored[0].sequence, 1)] == ["EV_2"]
        assert find_last(connection) == stored[-1].sequence
        assert find_event(connection, "EV_2") == stored[1]
        assert find_event(connection, "EV_9") is None
        assert is_kept(connection, stored[0].sequence)
        assert not is_kept(connection, stored[-1].sequence + 1)


def test_five_hundred_at_once_keep_their_order(store: Store) -> None:
    add(store, *(event(number, f"room-{number % 7}") for number in range(500)))
    with store.reading() as connection:
        assert [each.id for each in list_after(connection, 0, 1000)] == [f"EV_{number}" for number in range(500)]
        for room in range(7):
            waiting = owed.list_next(connection, B, f"room-{room}", 1000)
            assert [delivery.id for delivery, _ in waiting] == [f"EV_{number}" for number in range(room, 500, 7)]


@pytest.mark.anyio
async def test_two_services_that_find_the_same_store_it_once(url: str) -> None:
    stores = [Store(url), Store(url)]
    try:
        for number in range(20):
            items = [event(number), event(number)]
            both = await asyncio.gather(
                *(store.writer.run_batched(add_events, item) for store, item in zip(stores, items, strict=True))
            )
            assert sorted(both) == [False, True]
    finally:
        for store in stores:
            store.close()


def test_event_is_not_seen_before_one_that_has_a_smaller_sequence(postgres: Postgres) -> None:
    """A client of `GET /api/events` that has seen the later one would never be told of the other."""
    url = postgres.create()
    first, other = Store(url), Store(url)

    def waits() -> bool:
        with first.reading() as looking:
            return bool(looking.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar())

    with ThreadPoolExecutor(1) as pool:
        with first.writing() as connection:
            add_events(connection, [event(1)])
            later = pool.submit(add, other, event(2))
            wait_until(lambda: later.done() or waits(), "the other service")
            with other.reading() as reading:
                assert list_after(reading, 0, 10) == []
        assert later.result(DEADLINE_SECONDS) == [True]
    with first.reading() as reading:
        assert [each.id for each in list_after(reading, 0, 10)] == ["EV_1", "EV_2"]
    first.close()
    other.close()


def test_delivery_waits_until_it_was_delivered(store: Store) -> None:
    add(store, event(1), event(2), event(3, "other"), event(4, receivers=(B,)))
    with store.reading() as connection:
        assert set(owed.list_rooms(connection, A)) == {"lobby", "other"}
        first, body = owed.list_next(connection, A, "lobby", 1)[0]
    assert (first.id, first.name, first.room, first.attempts, body) == (
        *("EV_1", "track_published", "lobby", 0),
        '{"n": 1}',
    )
    settle(store, first.sequence, state="pending", problem="answered 500")
    assert ids(store) == ["EV_1", "EV_2"], "a failed attempt keeps its place"
    settle(store, first.sequence)
    assert ids(store) == ["EV_2"]
    assert ids(store, B) == ["EV_1", "EV_2", "EV_4"], "another receiver is not concerned"


def test_dead_delivery_is_listed_and_takes_its_place_again_after_a_replay(store: Store) -> None:
    add(store, event(1), event(2), event(3))
    with store.reading() as connection:
        sequences = {each.id: each.sequence for each in list_after(connection, 0, 10)}
    settle(store, sequences["EV_1"], state="dead", problem="answered 500")
    settle(store, sequences["EV_1"], B, state="dead", problem="answered 400")
    assert ids(store) == ["EV_2", "EV_3"]
    with store.reading() as connection:
        dead = owed.list_deliveries(connection, ["dead"], 10)
        assert [(each.id, each.receiver, each.problem) for each in dead] == [
            ("EV_1", A, "answered 500"),
            ("EV_1", B, "answered 400"),
        ]
        assert [each.id for each in owed.list_deliveries(connection, ["pending"], 10, "EV_2")] == ["EV_2"] * 2
        counts = {(each.receiver, each.state): (each.number, each.since) for each in owed.count_deliveries(connection)}
    assert counts == {(A, "dead"): (1, 200.0), (A, "pending"): (2, 100.0)} | {
        (B, "dead"): (1, 200.0),
        (B, "pending"): (2, 100.0),
    }
    with store.writing() as connection:
        assert owed.revive(connection, ["EV_9"], "", 300.0) == 0
        assert owed.revive(connection, ["EV_1"], A, 300.0) == 1
        again = owed.list_next(connection, A, "lobby", 1)[0][0]
    assert (again.attempts, again.problem, again.since) == (0, "", 300.0), "nothing is left of the attempts before"
    assert ids(store) == ["EV_1", "EV_2", "EV_3"]
    with store.writing() as connection:
        assert owed.revive(connection, None, "", 300.0) == 1
    assert ids(store, B) == ["EV_1", "EV_2", "EV_3"]


def test_receiver_at_another_url_is_owed_what_the_former_did_not_take(store: Store) -> None:
    add(store, event(1), event(2), event(3))
    with store.reading() as connection:
        sequences = {each.id: each.sequence for each in list_after(connection, 0, 10)}
    settle(store, sequences["EV_1"])
    with store.writing() as connection:
        owed.move(connection, None, [A], B)
        assert owed.revive(connection, None, B, 300.0) == 0, "it is owed them itself"
        owed.move(connection, ["EV_2"], [A], "https://new.example.com/")
        owed.move(connection, None, [A], "https://new.example.com/")
        assert owed.revive(connection, None, "https://new.example.com/", 300.0) == 2
    assert (ids(store), ids(store, "https://new.example.com/")) == ([], ["EV_2", "EV_3"])
    assert ids(store, B) == ["EV_1", "EV_2", "EV_3"]


def test_receiver_that_the_spec_no_longer_has_is_owed_nothing(store: Store) -> None:
    add(store, event(1), event(2))
    with store.writing() as connection:
        assert owed.bury_unknown(connection, [A], "no such receiver", 300.0) == 2
        assert owed.bury_unknown(connection, [A], "no such receiver", 300.0) == 0
    assert (ids(store), ids(store, B)) == (["EV_1", "EV_2"], [])


def test_old_events_are_forgotten_but_none_that_a_receiver_waits_for(store: Store) -> None:
    add(store, event(1, at=10.0), event(2, at=10.0, receivers=()), event(3, at=100.0, receivers=()))
    with store.writing() as connection:
        assert forget_events(connection, 50.0, 1000, 1000) == 1
        assert [each.id for each in list_after(connection, 0, 10)] == ["EV_1", "EV_3"]
        first = list_after(connection, 0, 10)[0].sequence
    for receiver in (A, B):
        settle(store, first, receiver, "dead")
    with store.writing() as connection:
        assert forget_events(connection, 50.0, 1000, 1000) == 1
        assert connection.execute(select(func.count()).select_from(deliveries)).scalar() == 0


def test_number_of_events_is_bounded(store: Store) -> None:
    add(store, *(event(number, receivers=(A,) if number == 0 else ()) for number in range(20)))
    with store.writing() as connection:
        assert forget_events(connection, 0.0, 5, 7) == 7
        while forget_events(connection, 0.0, 5, 7):
            pass
        kept = [each.id for each in list_after(connection, 0, 100)]
    assert kept == ["EV_0", *(f"EV_{number}" for number in range(15, 20))]


# --- what is there


def came(sid: str, room: str = "RM_1", participant: str = "") -> NewEvent:
    return NewEvent(f"EV_{sid}", "lobby", "x", "{}", 1.0, (), Here(sid, room, participant, f'"{sid}"'))


def went(sid: str) -> NewEvent:
    return NewEvent(f"EV_{sid}_gone", "lobby", "x", "{}", 1.0, (), None, sid)


def present(store: Store) -> set[str]:
    with store.reading() as connection:
        return {here.sid for here in list_present(connection)}


STAY = [
    *(came("RM_1"), came("PA_1"), came("TR_1", participant="PA_1"), came("TR_2", participant="PA_1"), came("PA_2")),
    *(came("RM_2", "RM_2"), came("PA_3", "RM_2")),
]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("gone", "left"),
    [
        ("", {"RM_1", "PA_1", "TR_1", "TR_2", "PA_2", "RM_2", "PA_3"}),
        ("TR_1", {"RM_1", "PA_1", "TR_2", "PA_2", "RM_2", "PA_3"}),
        ("PA_1", {"RM_1", "PA_2", "RM_2", "PA_3"}),
        ("RM_1", {"RM_2", "PA_3"}),
        ("RM_9", {"RM_1", "PA_1", "TR_1", "TR_2", "PA_2", "RM_2", "PA_3"}),
    ],
)
def test_what_leaves_takes_with_it_what_was_in_it(store: Store, together: bool, gone: str, left: set[str]) -> None:
    items = [*STAY, *([went(gone)] if gone else [])]
    if together:
        add(store, *items)
    else:
        for item in items:
            add(store, item)
    assert present(store) == left


def test_event_that_comes_again_brings_nothing_back(store: Store) -> None:
    add(store, came("RM_1"), came("PA_1"), went("PA_1"))
    add(store, came("PA_1"))
    assert present(store) == {"RM_1"}
    add(store, came("RM_1"))
    assert present(store) == {"RM_1"}
