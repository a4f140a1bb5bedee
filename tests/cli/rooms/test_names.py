"""Rooms and participants that `lkhub rooms` is told to act on and does not find."""

import pytest

from tests.cli.conftest import Done, Run
from tests.kit.room_service import Sfu

ABOUT_A_ROOM = [("show",), ("close", "--yes"), ("remove", "ann"), ("mute", "ann")]


def type_in(run: Run, command: tuple[str, ...], room: str) -> Done:
    return run("rooms", command[0], room, *command[1:])


@pytest.mark.parametrize("command", ABOUT_A_ROOM, ids=lambda command: command[0])
def test_room_that_is_not_open_has_a_near_match(run: Run, team: Sfu, command: tuple[str, ...]) -> None:
    done = type_in(run, command, "teem")
    assert (done.code, done.out) == (1, "")
    assert "error: no room teem is open" in done.err
    assert "did you mean team?" in done.err


@pytest.mark.parametrize("command", ABOUT_A_ROOM, ids=lambda command: command[0])
def test_name_that_none_has_is_bad_usage(run: Run, team: Sfu, command: tuple[str, ...]) -> None:
    for name, said in (("", "ROOM is empty"), ("a\udcff", r"ROOM is not UTF-8: 'a\udcff'")):
        done = type_in(run, command, name)
        assert (done.code, done.out) == (2, "")
        assert said in done.err
    if len(command) > 1 and command[0] != "close":
        assert run("rooms", command[0], "team", "").code == 2


@pytest.mark.parametrize("command", ["remove", "mute"])
def test_unknown_participant_has_a_near_match(run: Run, team: Sfu, command: str) -> None:
    done = run("rooms", command, "team", "Anne")
    assert (done.code, done.out) == (1, "")
    assert "no participant Anne is in room team" in done.err
    assert "did you mean ann?" in done.err
