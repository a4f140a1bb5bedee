"""What the tests of this folder share."""

from typing import Any

from lkhub.service.rooms.seats import Seats
from lkhub.service.tokens import Full, Reserved, Wish
from lkhub.store.store import Store
from lkhub.wire.application import RoomPreset


def preset(match: str = "*", capacity: int | None = 2, overflow: Any = "subrooms", **more: Any) -> RoomPreset:
    defaults = {
        "empty_timeout": None,
        "departure_timeout": None,
        "metadata": "",
        "agents": (),
        "roles": (),
    }
    settings: dict[str, Any] = defaults | more
    return RoomPreset(match=match, capacity=capacity, overflow=overflow, **settings)


class Direct:
    """Writes to a store, and lets its errors through."""

    def __init__(self, store: Store) -> None:
        self.write, self.run = store.writer.run_batched, store.writer.run


async def reserve(store: Store, seats: Seats, room: str, identity: str, party: str = "") -> Reserved | Full:
    """What a caller of mode `open` gets."""
    return await store.writer.run_batched(seats.reserve, Wish(room, identity, "open", party))


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: str = "") -> None:
        self.start, self.now = start, 1000.0

    def __call__(self) -> float:
        return self.now
