"""Which family a room belongs to, and what its preset asks of LiveKit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.service.presets import Presets, match_globs, name_room, number_room, room_config
from lkhub.wire.application import Dispatch
from tests.service.rooms.kit import preset

VOICE = preset("voice-*")
HALL = preset("hall*", overflow="reject")
PRESETS = Presets([VOICE, HALL, preset("open-*", capacity=None, overflow="reject")])


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


@pytest.mark.parametrize(
    ("room", "family", "number", "match"),
    [
        ("voice-a", "voice-a", 1, "voice-*"),
        ("voice-a(2)", "voice-a", 2, "voice-*"),
        ("voice-a(17)", "voice-a", 17, "voice-*"),
        # Not what name_room writes, so rooms of their own.
        ("voice-a(1)", "voice-a(1)", 1, "voice-*"),
        ("voice-a(0)", "voice-a(0)", 1, "voice-*"),
        ("voice-a(02)", "voice-a(02)", 1, "voice-*"),
        ("voice-a(2) ", "voice-a(2) ", 1, "voice-*"),
        ("voice-a(-2)", "voice-a(-2)", 1, "voice-*"),
        ("voice-a()", "voice-a()", 1, "voice-*"),
        ("voice-a(2", "voice-a(2", 1, "voice-*"),
        ("voice-a(2)\n", "voice-a(2)\n", 1, "voice-*"),
        ("voice-a(٢)", "voice-a(٢)", 1, "voice-*"),
        ("voice-a(1٢)", "voice-a(1٢)", 1, "voice-*"),
        ("voice-a(²)", "voice-a(²)", 1, "voice-*"),
        ("voice-a(9999999999)", "voice-a(9999999999)", 1, "voice-*"),
        # A sub-room has no sub-rooms; the room after the next is the first of a family again.
        ("voice-a(2)(2)", "voice-a(2)(2)", 1, "voice-*"),
        ("voice-a(2)(2)(3)", "voice-a(2)(2)", 3, "voice-*"),
        # Rooms without sub-rooms may be called so too.
        ("hall(2)", "hall(2)", 1, "hall*"),
        ("open-a(2)", "open-a(2)", 1, "open-*"),
        ("other", "other", 1, None),
        ("other(2)", "other(2)", 1, None),
        ("(2)", "(2)", 1, None),
    ],
)
def test_room_is_located_in_its_family(room: str, family: str, number: int, match: str | None) -> None:
    location = PRESETS.locate(room)
    assert (location.family, location.number) == (family, number)
    assert (location.preset.match if location.preset else None) == match


def test_first_preset_that_fits_is_taken() -> None:
    presets = Presets([preset("a*", 1), preset("*", 2)])
    assert [presets.locate(room).capacity for room in ("a", "b")] == [1, 2]


def test_sub_room_has_the_preset_of_its_family_whatever_fits_its_own_name() -> None:
    presets = Presets([preset("*(2)", 9, "reject"), preset("a", 2)])
    assert presets.locate("a(2)").capacity == 2


@given(st.text(alphabet="ab(23)", max_size=12), st.integers(1, 50))
def test_name_of_a_room_leads_back_to_it(family: str, number: int) -> None:
    presets = Presets([preset("*")])
    assert number_room(family, name_room(family, number)) == number
    if presets.locate(family).number == 1 and family:
        location = presets.locate(name_room(family, number))
        assert (location.family, location.number) == (family, number)


def test_preset_is_written_as_livekit_reads_it() -> None:
    given_preset = preset(
        capacity=16, empty_timeout=300, departure_timeout=20, metadata="m", agents=(Dispatch("scribe", "de"),)
    )
    assert room_config(given_preset).as_claim() == {
        "emptyTimeout": 300,
        "departureTimeout": 20,
        "maxParticipants": 16,
        "metadata": "m",
        "agents": [{"agentName": "scribe", "metadata": "de"}],
    }
    assert room_config(preset(capacity=None)).as_claim() == {}
