"""Which preset a room has, and which family a sub-room belongs to."""

import pytest

from lkhub.service.presets import Presets, match_globs
from lkhub.wire.application import RoomPreset


def preset(match: str, overflow: str = "reject", capacity: int | None = 2) -> RoomPreset:
    return RoomPreset(match, capacity, overflow, None, None, (), "", (), ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("globs", "name", "fits"),
    [
        (("*",), "", True),
        (("*",), "a/b\nc", True),
        ((), "a", False),
        (("voice-*",), "voice-1", True),
        (("voice-*",), "voice-a/b", True),
        (("voice-*",), "Voice-1", False),
        (("voice-*",), "my-voice-1", False),
        (("a", "b?"), "bc", True),
        (("a", "b?"), "bcd", False),
        (("[ab]",), "a", True),
        (("a.c",), "abc", False),
        (("a",), "a\n", False),
    ],
)
def test_glob(globs: tuple[str, ...], name: str, fits: bool) -> None:
    assert match_globs(globs)(name) is fits


def test_first_preset_that_fits_is_the_rooms() -> None:
    special, general = preset("voice-vip"), preset("voice-*")
    presets = Presets([special, general])
    assert presets.find("voice-vip") is special
    assert presets.find("voice-1") is general
    assert presets.find("lobby") is None
    assert Presets([]).find("lobby") is None


@pytest.mark.parametrize(
    ("room", "family"),
    [
        ("lobby", "lobby"),
        ("lobby(2)", "lobby"),
        ("lobby(10)", "lobby"),
        ("lobby(1)", "lobby(1)"),
        ("lobby(0)", "lobby(0)"),
        ("lobby(02)", "lobby(02)"),
        ("lobby(٢)", "lobby(٢)"),
        ("lobby(2", "lobby(2"),
        ("lobby(2)x", "lobby(2)x"),
        ("lobby(2)\n", "lobby(2)\n"),
        ("lobby()", "lobby()"),
        ("(2)", "(2)"),
        ("other(2)", "other(2)"),
        ("hall(2)", "hall(2)"),
    ],
)
def test_family(room: str, family: str) -> None:
    assert Presets([preset("lobby", "subrooms"), preset("hall")]).find_family(room) == family


def test_sub_room_has_the_preset_of_its_family() -> None:
    lobby, rest = preset("lobby", "subrooms"), preset("*")
    assert Presets([lobby, rest]).find("lobby(2)") is lobby
    assert Presets([lobby, rest]).find("hall(2)") is rest
