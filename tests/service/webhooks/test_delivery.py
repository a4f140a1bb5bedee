"""One receiver: each event of a room after the one before it, whatever fails in between."""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from lkhub.service.webhooks import delivery as module
from lkhub.service.webhooks.delivery import EVENTS_IN_A_TURN, ROOMS_AT_ONCE, Receiving
from lkhub.service.webhooks.hooks import KEPT_SECONDS
from lkhub.service.webhooks.patience import DEAD_AFTER_SECONDS, REFUSED_AFTER_ATTEMPTS
from lkhub.store.deliveries import Attempt, Delivery, State, list_deliveries, note_attempts, revive
from lkhub.store.events import forget_events
from tests.service.conftest import Jump
from tests.service.webhooks.conftest import GONE, URL, Kept, event
from tests.waiting import until

pytestmark = pytest.mark.anyio

HOUR = 3600.0


class Receiver:
    """A receiver that keeps what it took, in order, and what it was sent."""

    def __init__(self, judge: Callable[[int], Awaitable[str]]) -> None:
        self.judge = judge
        self.took: dict[str, list[int]] = defaultdict(list)
        self.sent: list[int] = []
        self.under_way: Counter[str] = Counter()
        self.most = 0

    async def __call__(self, body: str) -> str:
        data = json.loads(body)
        number, room = data["n"], data["room"]["name"]
        self.sent.append(number)
        self.under_way[room] += 1
        assert self.under_way[room] == 1, "one event of a room at a time"
        self.most = max(self.most, self.under_way.total())
        try:
            problem = await self.judge(number)
        finally:
            self.under_way[room] -= 1
        if not problem:
            self.took[room].append(number)
        return problem


async def take(number: int) -> str:
    await asyncio.sleep(0)
    return ""


@asynccontextmanager
async def delivering(
    kept: Kept, receiver: Callable[[str], Awaitable[str]], pause: float = 0.001
) -> AsyncIterator[Receiving]:
    receiving = Receiving(kept, URL, receiver, lambda _: pause)
    await receiving.load()
    task = asyncio.ensure_future(receiving.run())
    try:
        yield receiving
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def states(kept: Kept, *wanted: State) -> list[str]:
    with kept.store.reading() as connection:
        return [each.id for each in list_deliveries(connection, wanted, 10_000)]


async def test_room_is_told_by_the_name_that_it_has_in_the_store(kept: Kept) -> None:
    """PostgreSQL would refuse the look-up, again and again, and the store would be told as one that does not work."""
    receiver = Receiver(take)
    async with delivering(kept, receiver) as receiving:
        kept.add(event(1, "a\0b"))
        receiving.tell(["a\0b"])
        await until(lambda: receiver.sent == [1] and not receiving._rooms)


async def test_what_waits_is_delivered_and_noted(kept: Kept) -> None:
    kept.add(*(event(number) for number in range(3)), event(7, receivers=("http://other.example/",)))
    receiver = Receiver(take)
    async with delivering(kept, receiver):
        await until(lambda: len(states(kept, "delivered")) == 3)
    assert receiver.sent == [0, 1, 2]
    assert states(kept, "pending") == ["EV_7"]


async def test_what_comes_later_is_delivered_too(kept: Kept) -> None:
    receiver = Receiver(take)
    async with delivering(kept, receiver) as receiving:
        for number in range(50):
            kept.add(event(number))
            receiving.tell(["lobby"])
            if number % 7 == 0:
                await until(lambda: not states(kept, "pending"))
        await until(lambda: not states(kept, "pending"))
    assert receiver.took == {"lobby": list(range(50))}


async def test_order_holds_within_each_room_at_a_receiver_that_fails_half_the_time(kept: Kept) -> None:
    luck = random.Random(1)

    async def judge(_: int) -> str:
        await asyncio.sleep(luck.random() / 1000)
        return "answered 500" if luck.random() < 0.5 else ""

    kept.add(*(event(number, f"room-{number % 13}") for number in range(300)))
    receiver = Receiver(judge)
    async with delivering(kept, receiver):
        await until(lambda: not states(kept, "pending"))
    assert receiver.took == {f"room-{room}": list(range(room, 300, 13)) for room in range(13)}
    assert len(receiver.sent) > 400
    assert 1 < receiver.most <= ROOMS_AT_ONCE


async def test_event_that_fails_holds_up_its_own_room_alone(kept: Kept) -> None:
    async def judge(number: int) -> str:
        return "answered 500" if number == 0 else ""

    kept.add(event(0, "bad"), event(1, "bad"), *(event(number, f"room-{number}") for number in range(2, 40)))
    receiver = Receiver(judge)
    async with delivering(kept, receiver):
        await until(lambda: len(states(kept, "delivered")) == 38)
        assert set(states(kept, "pending")) == {"EV_0", "EV_1"}
    assert 1 not in receiver.sent


async def test_busy_room_gives_other_rooms_their_turn(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOMS_AT_ONCE", 1)
    kept.add(*(event(number, "busy") for number in range(200)), event(999, "quiet"))
    receiver = Receiver(take)
    async with delivering(kept, receiver):
        await until(lambda: 999 in receiver.sent)
        assert receiver.sent.index(999) <= EVENTS_IN_A_TURN


async def test_receiver_that_hangs_holds_no_more_than_its_rooms(kept: Kept) -> None:
    """It is the sender that gives up after its deadline; here it never does."""

    async def judge(number: int) -> str:
        await asyncio.sleep(3600 if number == 0 else 0)
        return ""

    kept.add(*(event(number, f"room-{number}") for number in range(30)))
    receiver = Receiver(judge)
    async with delivering(kept, receiver):
        await until(lambda: len(states(kept, "delivered")) == 29)


async def test_receiver_that_was_away_gets_all_soon_after_it_is_back(kept: Kept) -> None:
    """The pause of a room is shortened once the receiver takes another room's event."""
    away = True

    async def judge(number: int) -> str:
        return "the connection failed" if away else ""

    kept.add(*(event(number, f"room-{number}") for number in range(20)))
    receiver = Receiver(judge)
    async with delivering(kept, receiver, pause=3600) as receiving:
        await until(lambda: len(set(receiver.sent)) == 20)
        await until(lambda: not any(room.running for room in receiving._rooms.values()))
        away = False
        kept.add(event(20, "new"))
        now = asyncio.get_running_loop().time()
        receiving.tell(["new"])
        await until(lambda: 20 in receiver.sent and "new" not in receiving._rooms)
        assert all(room.due <= now + 60 for room in receiving._rooms.values())


async def test_store_that_is_gone_for_a_while_loses_nothing(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STORE_SECONDS", 0.01)
    kept.add(*(event(number) for number in range(10)))

    async def judge(number: int) -> str:
        if number == 4 and not kept.broken and receiver.sent.count(4) == 1:
            kept.broken = GONE  # it took the event, and that can't be noted
            asyncio.get_running_loop().call_later(0.1, setattr, kept, "broken", None)
        return ""

    receiver = Receiver(judge)
    async with delivering(kept, receiver):
        await until(lambda: len(states(kept, "delivered")) == 10)
    assert receiver.sent == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9], "sent again, and in order"


async def test_bug_in_one_delivery_ends_no_other(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STORE_SECONDS", 0.01)

    async def judge(number: int) -> str:
        if number == 0 and receiver.sent.count(0) < 3:
            raise ZeroDivisionError
        return ""

    kept.add(event(0, "bad"), event(1, "bad"), event(2, "good"))
    receiver = Receiver(judge)
    async with delivering(kept, receiver):
        await until(lambda: len(states(kept, "delivered")) == 3)
    assert receiver.took == {"bad": [0, 1], "good": [2]}


async def test_event_that_is_refused_while_others_are_taken_is_given_up(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "is_dead", lambda attempts, seconds, takes_others: takes_others and attempts >= 4)

    async def judge(number: int) -> str:
        return "answered 400" if number == 0 else ""

    kept.add(event(0), event(1), event(2))
    receiver = Receiver(judge)
    async with delivering(kept, receiver) as receiving:
        await until(lambda: receiver.sent.count(0) > 5)
        assert not states(kept, "dead"), "it is not known that the receiver takes anything"
        kept.add(event(3, "other"))
        receiving.tell(["other"])
        await until(lambda: len(states(kept, "delivered")) == 3)
    assert states(kept, "dead") == ["EV_0"]
    with kept.store.reading() as connection:
        assert [each.problem for each in list_deliveries(connection, ["dead"], 1)] == ["answered 400"]


async def test_process_that_ends_between_answer_and_note_sends_it_again(kept: Kept) -> None:
    kept.add(event(0), event(1))
    hanging = asyncio.Event()

    async def judge(number: int) -> str:
        if number == 1:
            hanging.set()
            await asyncio.sleep(3600)
        return ""

    async with delivering(kept, Receiver(judge)):
        await hanging.wait()
    receiver = Receiver(take)
    async with delivering(kept, receiver):
        await until(lambda: not states(kept, "pending"))
    assert receiver.sent == [1]


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
async def test_events_are_given_up_by_the_time_that_they_were_tried_for(kept: Kept, jump: Jump, seconds: float) -> None:
    """By each process that goes on, which has only the times in the store. Events that are kept for a week stay."""
    url, told = "http://127.0.0.1:9/hook", list[str]()

    async def refuse(body: str) -> str:
        told.append(body)
        return "answered 500"

    async def try_once() -> None:
        receiving = Receiving(kept, url, refuse, lambda _: HOUR)
        receiving._took = float("inf")  # it takes the events of other rooms
        await receiving.load()
        task = asyncio.ensure_future(receiving.run())
        number = len(told)
        await until(lambda: find().attempts == number + 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def find() -> Delivery:
        with kept.store.reading() as connection:
            [delivery] = list_deliveries(connection, ["pending", "dead"], 10)
        assert delivery.state == "pending", "it was tried for seconds, and not for ten minutes"
        return delivery

    kept.add(event(1, receivers=(url,)))
    await try_once()
    jump(seconds)
    for _ in range(REFUSED_AFTER_ATTEMPTS):
        await try_once()
    await kept.run(partial(forget_events, before=time.time() - KEPT_SECONDS, most=10, limit=10))
    assert find()


async def test_receiver_that_took_events_before_it_went_away_is_waited_for(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for the ten minutes of an event that is refused, but for a day."""
    took_others: list[bool] = []

    def judge_attempts(attempts: int, seconds: float, takes_others: bool) -> bool:
        took_others.append(takes_others)
        return False

    async def judge(number: int) -> str:
        return "" if number == 0 else "answered 503"

    monkeypatch.setattr(module, "is_dead", judge_attempts)
    kept.add(event(0), event(1))
    async with delivering(kept, Receiver(judge)):
        await until(lambda: len(took_others) >= 3)
    assert not any(took_others)


async def test_each_event_has_its_own_time_from_its_first_failure(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the next one of its room, and one that was given up and is replayed."""
    tried: list[tuple[int, int]] = []
    hours = 0

    async def judge(number: int) -> str:
        nonlocal hours
        hours += 1
        if number == 2:
            with kept.store.writing() as connection:
                assert revive(connection, ["EV_1"], "", time.time()) == 1
        return "" if (number, receiver.sent.count(number)) in ((0, 2), (1, 4), (2, 1)) else "answered 500"

    def judge_attempts(attempts: int, seconds: float, _: bool) -> bool:
        tried.append((receiver.sent[-1], round(seconds / HOUR)))
        return attempts >= 2

    monkeypatch.setattr(module, "is_dead", judge_attempts)
    kept.add(event(0), event(1), event(2))
    receiver = Receiver(judge)
    async with delivering(kept, receiver) as receiving:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(receiving, "_now", lambda: loop.time() + hours * HOUR)
        await until(lambda: len(states(kept, "delivered")) == 3)
    assert receiver.sent == [0, 0, 1, 1, 2, 1, 1]
    assert tried == [(0, 1), (1, 1), (1, 2), (1, 1)]


async def test_event_that_processes_before_have_tried_for_a_day_is_given_up(kept: Kept) -> None:
    """Else a service that is started anew each hour would hold up the room for ever."""
    kept.add(event(0), event(1))
    with kept.store.writing() as connection:
        note_attempts(connection, [Attempt(1, URL, "pending", 400, "answered 500", time.time() + DEAD_AFTER_SECONDS)])

    async def judge(number: int) -> str:
        return "answered 500" if number == 0 else ""

    async with delivering(kept, Receiver(judge)):
        await until(lambda: (states(kept, "dead"), states(kept, "delivered")) == (["EV_0"], ["EV_1"]))


async def test_replayed_event_does_not_wait_for_one_of_its_room_that_failed_after_it(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    well = False

    async def judge(_: int) -> str:
        return "" if well else "answered 500"

    receiver = Receiver(judge)
    monkeypatch.setattr(module, "is_dead", lambda *_: receiver.sent[-1] == 0)
    kept.add(event(0), event(1))
    async with delivering(kept, receiver, pause=HOUR) as receiving:
        await until(lambda: receiver.sent == [0, 1] and not any(room.running for room in receiving._rooms.values()))
        well = True
        with kept.store.writing() as connection:
            assert revive(connection, ["EV_0"], "", time.time()) == 1
        await receiving.load()
        await until(lambda: len(states(kept, "delivered")) == 2)
    assert receiver.sent == [0, 1, 0, 1]


async def test_look_for_new_events_leaves_a_failed_one_its_pause(kept: Kept) -> None:
    async def judge(_: int) -> str:
        return "answered 500"

    kept.add(event(0))
    async with delivering(kept, Receiver(judge), pause=HOUR) as receiving:
        await until(lambda: any(room.failed and not room.running for room in receiving._rooms.values()))
        await receiving.load()
        assert [room.due > receiving._now() for room in receiving._rooms.values()] == [True]


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
async def test_since_when_a_receiver_fails_follows_a_clock_that_is_set(kept: Kept, jump: Jump, seconds: float) -> None:
    """Else `lkhub status` would be silent for an hour, or speak of an hour too many."""

    async def refuse(body: str) -> str:
        return "answered 500"

    kept.add(event(1))
    async with delivering(kept, refuse) as receiving:
        await until(lambda: receiving.failing is not None)
        jump(seconds)
        assert receiving.failing
        assert abs(time.time() - receiving.failing[0]) < HOUR / 2
