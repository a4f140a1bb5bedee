"""LiveKit and the processes of a hub that asks it, as random calls need them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lkhub.livekit.room_info import Room
from lkhub.service.presets import Presets
from lkhub.service.rooms.applying import Applying
from lkhub.service.rooms.ledger import Ledger
from lkhub.service.rooms.reconcile import Reconciliation
from lkhub.service.rooms.seats import Seats
from lkhub.service.tokens import Full, Reserved
from lkhub.store.lead import Lead
from lkhub.store.store import Store
from lkhub.wire.application import RoomPreset
from tests.service.rooms.kit import Direct, reserve


class Rooms:
    """LiveKit: the SID of each identity in each room. `inside` happens after a list was made and before it arrives."""

    def __init__(self) -> None:
        self.rooms: dict[str, dict[str, str]] = {}
        self.count = 0
        self.inside: list[Any] = []

    def join(self, room: str, identity: str) -> str:
        self.count += 1
        self.rooms.setdefault(room, {})[identity] = f"PA_{self.count}"
        return f"PA_{self.count}"

    def leave(self, room: str, identity: str) -> str:
        sid = self.rooms[room].pop(identity)
        if not self.rooms[room]:
            del self.rooms[room]
        return sid

    async def list_rooms(self, *_: str) -> list[Room]:
        return [Room(name, f"RM_{name}") for name in self.rooms]

    async def list_participants(self, room: str) -> Mapping[str, str]:
        answer = dict(self.rooms.get(room, {}))
        while self.inside:
            await self.inside.pop()()
        return answer

    async def apply(self, room: Room, settings: RoomPreset) -> None:
        pass


@dataclass
class Machine:
    """A machine's clock. It goes as fast as those of others, and shows something else."""

    read_time: Callable[[], float]
    start: str
    offset: float

    def __call__(self) -> float:
        return self.read_time() + self.offset


class Service:
    """One `lkhub serve`."""

    def __init__(self, url: str, preset: RoomPreset, sfu: Rooms, machine: Machine) -> None:
        self.store = Store(url)
        presets = Presets([preset])
        self.ledger = Ledger(Direct(self.store), presets, machine)
        self.seats = Seats(self.ledger, presets)
        self.applying = Applying(sfu, self.make_lead)
        self.reconciliation = Reconciliation(self.ledger, presets, sfu, self.applying)

    async def make_lead(self) -> Lead:
        return self.store.make_lead("presets")

    async def take(self, room: str, identity: str, party: str = "") -> Reserved | Full:
        return await reserve(self.store, self.seats, room, identity, party)

    def end(self) -> None:
        self.applying.release()
        self.store.close()
