"""Which preset a room has, which family of sub-rooms it belongs to, and what the preset asks of LiveKit. Pure."""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from functools import lru_cache

from msgspec import Struct

from lkhub.livekit.room_config import AgentDispatch, RoomConfig
from lkhub.wire.application import RoomPreset

# `room(2)` and so on. The first room of a family has no number.
_SUBROOM = re.compile(r"(.+)\(([1-9][0-9]{0,8})\)", re.DOTALL)


@lru_cache(maxsize=1024)
def match_globs(globs: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a name fits one of the globs. `*` stands for any characters, `/` too."""
    if "*" in globs:
        return lambda name: True
    if not globs:
        return lambda name: False
    pattern = re.compile("|".join(map(translate, globs)))
    return lambda name: pattern.match(name) is not None


class Location(Struct, frozen=True):
    """A room as a part of its family. `number` is 1 for the family's first room, which has the family's name. `preset`
    is the family's; None if no preset fits."""

    family: str
    number: int
    preset: RoomPreset | None

    @property
    def capacity(self) -> int | None:
        """How many participants the room holds, or None."""
        return self.preset.capacity if self.preset else None

    @property
    def has_subrooms(self) -> bool:
        """Whether the family has a second room once the first is full."""
        return self.preset is not None and self.preset.overflow == "subrooms"

    def is_for(self, role: str) -> bool:
        """Whether its preset lets this role in."""
        return self.preset is None or not self.preset.roles or role in self.preset.roles


class Presets:
    """`rooms` of the spec: of the presets that fit a name, the first is the room's."""

    def __init__(self, presets: Sequence[RoomPreset]) -> None:
        self._presets = [(match_globs((preset.match,)), preset) for preset in presets]

    def locate(self, room: str) -> Location:
        """The family of a room.

        `x(2)` belongs to the family `x` only if rooms named `x` have sub-rooms. A room that is itself a sub-room has
        none: `x(2)(2)` is the first room of a family of its own.
        """
        if self._presets and room.endswith(")") and (found := _SUBROOM.fullmatch(room)):
            family, number = found[1], int(found[2])
            location = self.locate(family)
            if number > 1 and location.number == 1 and location.has_subrooms:
                return Location(family, number, location.preset)
        return Location(room, 1, self._find(room))

    def _find(self, room: str) -> RoomPreset | None:
        return next((preset for fits, preset in self._presets if fits(room)), None)


def name_room(family: str, number: int) -> str:
    """The name of a room of a family."""
    return family if number == 1 else f"{family}({number})"


def number_room(family: str, room: str) -> int:
    """The inverse of `name_room`."""
    return 1 if room == family else int(room[len(family) + 1 : -1])


def room_config(preset: RoomPreset) -> RoomConfig:
    """What a preset asks of LiveKit, for the token of a participant whose join opens the room.

    The capacity is LiveKit's `max_participants` too: it refuses those for whom no seat was reserved. LiveKit takes no
    codecs for one room.
    """
    return RoomConfig(
        empty_timeout=preset.empty_timeout or 0,
        departure_timeout=preset.departure_timeout or 0,
        max_participants=preset.capacity or 0,
        metadata=preset.metadata,
        agents=tuple(AgentDispatch(agent.name, agent.metadata) for agent in preset.agents),
    )
