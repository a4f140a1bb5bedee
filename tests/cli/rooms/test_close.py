"""`lkhub rooms close`."""

import io
import json
from pathlib import Path

import pytest

from lkhub.host.files import write_private
from lkhub.plan.paths import StatePaths
from tests.cli.conftest import Run
from tests.cli.rooms.kit import ODD, UNSEEN
from tests.kit.room_service import Sfu, make_participant, make_room


@pytest.mark.parametrize("room", ["team", ODD, UNSEEN])
def test_room_is_closed(run: Run, sfu: Sfu, room: str) -> None:
    sfu.open(make_room(room), make_participant("ann"), make_participant("bob"))
    done = run("rooms", "close", room, "--yes")
    assert done.code == 0
    assert "the room is closed: 2 participants had to leave" in done.err
    assert "joining opens rooms here, so that a token for this room opens it again until it expires" in done.err
    assert sfu.calls("DeleteRoom") == [{"room": room}]
    assert not set(done.out.rstrip("\n") + done.err.replace("\n", "")) & set("\x1b\u202e\n")


def test_room_is_closed_for_json(run: Run, team: Sfu) -> None:
    done = run("rooms", "close", "RM_team", "--yes", "--json")
    assert done.json == {"room": {"name": "team", "sid": "RM_team"}, "participants": 2}


def test_closed_hub_does_not_open_a_room_again(run: Run, sfu: Sfu, applied: StatePaths) -> None:
    record = json.loads(Path(applied.applied).read_text()) | {"auto_create": False}
    write_private(applied.applied, json.dumps(record))
    sfu.open(make_room("team"))
    done = run("rooms", "close", "team")
    assert (done.code, done.out, done.err) == (0, "team\n", "the room is closed\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "closed"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_closing_asks_if_participants_are_there(
    run: Run, team: Sfu, monkeypatch: pytest.MonkeyPatch, typed: str, closed: bool
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    done = run("rooms", "close", "team")
    assert "closing team ends the call of 2 participants; close it? [y/N]" in done.err
    assert (done.code, done.out, "team" in team.rooms) == ((0, "team\n", False) if closed else (1, "", True))
    assert closed or "nothing was changed" in done.err


def test_closing_asks_nothing_without_a_terminal(run: Run, team: Sfu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    done = run("rooms", "close", "team")
    assert (done.code, done.out) == (2, "")
    assert "closing team ends the call of 2 participants, and there is no terminal on which to confirm it" in done.err
    assert "`--yes` confirms it" in done.err
    assert "team" in team.rooms


def test_room_that_closes_meanwhile_is_told(run: Run, team: Sfu) -> None:
    team.wrong["DeleteRoom"] = (404, {"code": "not_found", "msg": "requested room does not exist"})
    done = run("rooms", "close", "team", "--yes")
    assert (done.code, done.out) == (1, "")
    assert "room team has closed meanwhile" in done.err
