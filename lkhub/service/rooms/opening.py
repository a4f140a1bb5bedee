"""Rooms of a family on a hub whose rooms are opened by its operator (`access.create: operator`)."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from lkhub.errors import MachineError
from lkhub.livekit.room_info import Room
from lkhub.service.presets import Presets
from lkhub.wire.application import RoomPreset

# LiveKit is not asked for each token: what it said about a room holds for so long. An open room that nobody joins stays
# open for minutes, unless its preset says otherwise. A closed one may be opened at any time.
OPEN_SECONDS = 5.0
CLOSED_SECONDS = 1.0


class Opener(Protocol):
    """What is asked of LiveKit. Every method raises MachineError where it does not answer or refuses."""

    async def list_rooms(self) -> Sequence[Room]:
        """Every open room."""

    async def open(self, room: str, preset: RoomPreset) -> None:
        """Open a room with the settings of its preset."""


class Opening:
    """Opens rooms for seats: the operator opens one room of a family, and the seats decide how many there are. So a
    room of the family in which a seat was given is opened while another one is open."""

    def __init__(self, presets: Presets, sfu: Opener, clock: Callable[[], float] = time.monotonic) -> None:
        self._presets, self._sfu, self._clock = presets, sfu, clock
        self._known: dict[str, float] = {}

    async def prepare(self, room: str) -> None:
        """Open a room in which a seat was given. While LiveKit does not answer, the seat is given all the same: nobody
        can join then, and who comes again asks again."""
        with suppress(MachineError):
            await self._open(room)

    async def _open(self, room: str) -> None:
        location, now = self._presets.locate(room), self._clock()
        if not (preset := location.preset) or not location.has_subrooms or self._known.get(room, now) > now:
            return
        self._known = {name: until for name, until in self._known.items() if until > now}
        listed = {each.name for each in await self._sfu.list_rooms()}
        is_open = any(self._presets.locate(name).family == location.family for name in listed)
        if is_open and room not in listed:
            await self._sfu.open(room, preset)
        self._known[room] = now + (OPEN_SECONDS if is_open else CLOSED_SECONDS)
