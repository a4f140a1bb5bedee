"""Rooms of a family that the operator has opened are opened as seats are given."""

from collections.abc import Sequence

import pytest

from lkhub.errors import MachineError
from lkhub.livekit.room_info import Room
from lkhub.service.presets import Presets
from lkhub.service.rooms.opening import CLOSED_SECONDS, OPEN_SECONDS, Opening
from lkhub.wire.application import RoomPreset
from tests.service.rooms.kit import preset

pytestmark = pytest.mark.anyio

VOICE = preset("voice-*")


class FakeSfu:
    """A LiveKit. `asked` counts its lists; `away`: it does not answer."""

    def __init__(self, *rooms: str) -> None:
        self.rooms = list(rooms)
        self.opened: list[tuple[str, RoomPreset]] = []
        self.asked = 0
        self.away = False

    async def list_rooms(self) -> Sequence[Room]:
        self.asked += 1
        if self.away:
            raise MachineError("LiveKit does not answer")
        return [Room(name) for name in self.rooms]

    async def open(self, room: str, settings: RoomPreset) -> None:
        self.rooms.append(room)
        self.opened.append((room, settings))


class Hub:
    """A hub with a clock that a test moves."""

    def __init__(self, sfu: FakeSfu) -> None:
        self.now = 1000.0
        presets = Presets([VOICE, preset("stage-*", overflow="reject")])
        self.opening = Opening(presets, sfu, lambda: self.now)

    async def ask(self, room: str) -> None:
        await self.opening.prepare(room)


@pytest.mark.parametrize(
    ("there", "room"), [("voice-1", "voice-1(2)"), ("voice-1(2)", "voice-1"), ("voice-1(2)", "voice-1(3)")]
)
async def test_room_is_opened_while_another_of_its_family_is_open(there: str, room: str) -> None:
    sfu = FakeSfu("lobby", there)
    await Hub(sfu).ask(room)
    assert sfu.opened == [(room, VOICE)]


async def test_family_that_the_operator_has_not_opened_stays_closed() -> None:
    sfu = FakeSfu("lobby", "voice-2", "voice-1(2)(2)", "stage-1")
    hub = Hub(sfu)
    for room in ("voice-1", "voice-1(2)", "voice-1(2)", "stage-2"):
        await hub.ask(room)
    assert (sfu.asked, sfu.opened) == (2, [])
    sfu.rooms.append("voice-1")
    hub.now += CLOSED_SECONDS
    await hub.ask("voice-1(2)")
    assert [room for room, _ in sfu.opened] == ["voice-1(2)"]


async def test_livekit_is_asked_once_for_many_tokens() -> None:
    sfu = FakeSfu("voice-1")
    hub = Hub(sfu)
    for _ in range(3):
        await hub.ask("voice-1(2)")
    assert (sfu.asked, len(sfu.opened)) == (1, 1)
    sfu.rooms.remove("voice-1(2)")  # it closed meanwhile
    hub.now += OPEN_SECONDS
    await hub.ask("voice-1(2)")
    assert (sfu.asked, len(sfu.opened)) == (2, 2)


async def test_room_without_sub_rooms_costs_nothing() -> None:
    sfu = FakeSfu("voice-1")
    hub = Hub(sfu)
    for room in ("stage-1", "lobby"):
        await hub.ask(room)
    assert sfu.asked == 0


async def test_seat_is_given_while_livekit_is_away() -> None:
    sfu = FakeSfu("voice-1")
    hub = Hub(sfu)
    sfu.away = True
    await hub.ask("voice-1(2)")
    sfu.away = False
    await hub.ask("voice-1(2)")
    assert [room for room, _ in sfu.opened] == ["voice-1(2)"]
