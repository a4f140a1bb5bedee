"""Deliveries to one receiver: the events of each room in their order, several rooms at once.

What is owed stands in the store. Here is only which rooms have something, and when each is tried again. So nothing is
lost when the process ends at any moment, and an event is delivered twice where it ends between a receiver's answer and
the note of it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from lkhub.service.errors import ApiError
from lkhub.service.storage import Storage
from lkhub.service.webhooks.patience import bound_seconds, choose_pause, is_dead
from lkhub.service.webhooks.sender import ANSWER_SECONDS
from lkhub.store.deliveries import Attempt, Delivery, State, list_next, list_rooms, note_attempts
from lkhub.store.events import name_stored

# So many rooms are delivered to a receiver at once. The next room waits for one of them: where a receiver does not
# answer, for as long as an attempt may take.
ROOMS_AT_ONCE = 8

# So many events of a room are delivered before other rooms have their turn.
EVENTS_IN_A_TURN = 20

# Once a receiver takes events again, rooms that wait for longer are tried again within this time.
RECOVERED_SECONDS = 10.0

# How long a store that can't be used is left alone.
STORE_SECONDS = 2.0

log = logging.getLogger("lkhub.webhooks")


@dataclass
class _Room:
    """A room that has something for the receiver. `due` is on the loop's clock. `more`: something came since the room
    was last looked up. `failed`: the event that the receiver last did not take, and when first, on the loop's clock."""

    due: float
    running: bool = False
    more: bool = False
    failed: tuple[int, float] | None = None


class Receiving:
    """The deliveries to one receiver. `send` returns why it did not take an event, "" where it did."""

    def __init__(
        self,
        store: Storage,
        url: str,
        send: Callable[[str], Awaitable[str]],
        pause: Callable[[int], float] = choose_pause,
    ) -> None:
        self.url = url
        self._store, self._send, self._pause = store, send, pause
        self._rooms: dict[str, _Room] = {}
        self._wake = asyncio.Event()
        self._took: float | None = None
        self._failing: tuple[float, str] | None = None  # since when, on the loop's clock
        self._troubled = False

    @property
    def failing(self) -> tuple[float, str] | None:
        """Since when it has taken nothing (epoch seconds, as the clock is set now), and the last problem."""
        if self._failing is None:
            return None
        since, problem = self._failing
        # Whole seconds, so that it is the same each time while the clock is not set.
        return float(round(time.time() - (self._now() - since))), problem

    async def load(self) -> None:
        """See which rooms have something in the store. Raises ApiError."""
        first = await self._store.read(partial(list_rooms, receiver=self.url))
        for name, sequence in first.items():
            room = self._rooms.get(name)
            if room and room.failed and sequence < room.failed[0]:
                room.due = self._now()  # it was replayed, and waits for no event after it
        self.tell(first)

    def tell(self, rooms: Iterable[str]) -> None:
        """These rooms have something."""
        for name in map(name_stored, rooms):
            room = self._rooms.setdefault(name, _Room(self._now()))
            room.more = True
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            running = 0

            def done(_: asyncio.Task[None]) -> None:
                nonlocal running
                running -= 1
                self._wake.set()

            while True:
                self._wake.clear()
                now = self._now()
                waiting = sorted(
                    ((room.due, name) for name, room in self._rooms.items() if not room.running),
                    key=lambda pair: pair[0],
                )
                for due, name in waiting[: ROOMS_AT_ONCE - running]:
                    if due > now:
                        break
                    self._rooms[name].running = True
                    running += 1
                    group.create_task(self._deliver(name)).add_done_callback(done)
                next_due = next((due for due, name in waiting if not self._rooms[name].running), None)
                pause = None if next_due is None or running == ROOMS_AT_ONCE else max(0.0, next_due - now)
                try:
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def _deliver(self, name: str) -> None:
        """Give one room its turn."""
        room = self._rooms[name]
        room.more = False
        try:
            listing = partial(list_next, receiver=self.url, room=name, limit=EVENTS_IN_A_TURN)
            waiting = await self._store.read(listing)
            room.due = self._now()
            for delivery, body in waiting:
                if pause := await self._attempt(room, delivery, body):
                    room.due = self._now() + pause
                    break
            self._troubled = False
            if not waiting and not room.more:
                del self._rooms[name]
        except ApiError as error:
            room.due = self._now() + STORE_SECONDS
            if not self._troubled:
                log.warning("deliveries wait for the store: %s", error)
            self._troubled = True
        except Exception as error:
            # The other rooms go on. The text of the error may have what the event has.
            room.due = self._now() + STORE_SECONDS
            log.error("a delivery failed by a bug: %s", type(error).__name__)
        finally:
            room.running = False

    async def _attempt(self, room: _Room, delivery: Delivery, body: str) -> float:
        """Try once. Returns how long to wait before the room is tried again; 0 where its next event may go."""
        began = self._now()
        problem = await self._send(body)
        attempts = delivery.attempts + 1
        pause = 0.0
        self._failing = (self._failing[0] if self._failing else self._now(), problem) if problem else None
        if not problem:
            self._note_success()
            state: State = "delivered"
        else:
            if room.failed is None or room.failed[0] != delivery.sequence:
                room.failed = delivery.sequence, began - _find_tried(delivery)
            first = room.failed[1]
            takes_others = self._took is not None and self._took >= first
            dead = is_dead(attempts, self._now() - first, takes_others)
            state = "dead" if dead else "pending"
            if dead:
                room.failed = None  # it may be replayed
                log.warning("an event was given up that a receiver did not take: %s", problem)
            else:
                pause = self._pause(attempts)
        attempt = Attempt(delivery.sequence, self.url, state, attempts, problem, time.time())
        await self._store.write(note_attempts, attempt)
        return pause

    def _note_success(self) -> None:
        self._took = now = self._now()
        for room in self._rooms.values():
            room.due = min(room.due, now + RECOVERED_SECONDS)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _find_tried(delivery: Delivery) -> float:
    """For how many seconds processes before this one have tried. The times in the store are times of day, which jump
    with the clock; an event that has not been tried for long is not given up for that."""
    seconds = max(0.0, delivery.changed - delivery.since)
    return min(seconds, bound_seconds(delivery.attempts, ANSWER_SECONDS))
