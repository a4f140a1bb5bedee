"""`lkhub rooms create`."""

import pytest

from lkhub.plan.paths import StatePaths
from tests.cli.conftest import Run
from tests.cli.rooms.kit import ODD
from tests.kit.room_service import Sfu


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


def test_room_is_opened(run: Run, sfu: Sfu) -> None:
    assert run("rooms", "create", ODD).out == f"{ODD}\n"
    assert run("rooms", "create", ODD, "--json").json == {"room": ODD, "empty_timeout": 300}
    assert list(sfu.rooms) == [ODD]
