"""`lkhub rooms create`."""

import pytest

from lkhub.plan.paths import StatePaths
from lkhub.wire.application import Application, Dispatch, RoomPreset
from tests.cli.conftest import Run, write_serve
from tests.cli.rooms.kit import ODD
from tests.kit.room_service import Sfu, make_room


@pytest.mark.parametrize(
    ("room", "said"),
    [
        ("", "ROOM is empty"),
        ("x" * 257, "ROOM has 257 bytes; LiveKit takes 256"),
        ("é" * 129, "ROOM has 258 bytes; LiveKit takes 256"),
        ("a\nb", "ROOM has U+000A a control character"),
        ("\u202ea", "ROOM has U+202E RIGHT-TO-LEFT OVERRIDE"),
    ],
    ids=ascii,
)
def test_room_without_a_good_name_is_not_opened(run: Run, applied: StatePaths, room: str, said: str) -> None:
    done = run("rooms", "create", room)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.fixture(autouse=True)
def _presets(applied: StatePaths) -> None:
    """The hub gives rooms whose names begin with `stage-` settings of their own."""
    agents = (Dispatch("helper", "m"),)
    stage = RoomPreset("stage-*", 50, "subrooms", 60, None, "on air", agents, ())
    write_serve(applied, Application(rooms=(stage,)))


def test_room_gets_the_settings_of_its_preset(run: Run, sfu: Sfu) -> None:
    settings = {"empty_timeout": 60, "max_participants": 50, "metadata": "on air"}
    agents = [{"agent_name": "helper", "metadata": "m"}]
    for name in ("stage-1", "stage-1(2)"):
        assert run("rooms", "create", name, "--json").code == 0
        assert sfu.calls("CreateRoom")[-1] == {"name": name, **settings, "agents": agents}


def test_room_that_is_open_stays_as_it_is(run: Run, sfu: Sfu) -> None:
    sfu.open(make_room("stage-1", metadata="the application's"))
    assert run("rooms", "create", "stage-1").code == 0
    assert sfu.calls("CreateRoom") == [{"name": "stage-1"}]


def test_room_is_opened(run: Run, sfu: Sfu) -> None:
    done = run("rooms", "create", ODD)
    assert done.out == f"{ODD}\n"
    assert "it closes if nobody joins within 300 s, or 20 s after the last one left" in " ".join(done.err.split())
    assert run("rooms", "create", ODD, "--json").json == {"room": ODD, "empty_timeout": 300}
    assert list(sfu.rooms) == [ODD]
