"""Which settings the spec gives a room, by the room's name. Pure."""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from functools import lru_cache

from lkhub.wire.application import RoomPreset

_SUBROOM = re.compile(r"(.+)\((?:[2-9]|[1-9]\d{1,8})\)", re.DOTALL)


@lru_cache(maxsize=1024)
def match_globs(globs: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a name fits one of the globs. `*` stands for any characters, `/` too."""
    if "*" in globs:
        return lambda name: True
    if not globs:
        return lambda name: False
    pattern = re.compile("|".join(map(translate, globs)))
    return lambda name: pattern.match(name) is not None


class Presets:
    """`rooms` of the spec: of the presets that fit a name, the first is the room's."""

    def __init__(self, presets: Sequence[RoomPreset]) -> None:
        self._presets = [(match_globs((preset.match,)), preset) for preset in presets]

    def find(self, room: str) -> RoomPreset | None:
        """The preset of a room, or of the family of a sub-room. None where LiveKit's defaults hold."""
        family = self.find_family(room)
        return next((preset for fits, preset in self._presets if fits(family)), None)

    def find_family(self, room: str) -> str:
        """The name of which `room` is a sub-room, such as `lobby` for `lobby(2)`; else `room` itself."""
        if not self._presets or not (named := _SUBROOM.fullmatch(room)):
            return room
        first = next((preset for fits, preset in self._presets if fits(named[1])), None)
        return named[1] if first is not None and first.overflow == "subrooms" else room
