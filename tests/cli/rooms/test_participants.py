"""`lkhub rooms remove`, and participants that leave before a command acts on them."""

import pytest

from tests.cli.conftest import Run
from tests.kit.room_service import Sfu


@pytest.mark.parametrize("given", ["bob", "PA_bob"])
def test_participant_is_removed(run: Run, team: Sfu, given: str) -> None:
    done = run("rooms", "remove", "team", given)
    assert (done.code, done.out) == (0, "bob\n")
    assert "its token still lets it join again, until it expires" in done.err
    assert [each["identity"] for each in team.rooms["team"][1]] == ["ann"]


def test_participant_is_removed_for_json(run: Run, team: Sfu) -> None:
    assert run("rooms", "remove", "team", "ann", "--json").json == {
        "room": {"name": "team", "sid": "RM_team"},
        "participant": {"identity": "ann", "name": "Ann A.", "sid": "PA_ann"},
    }


GONE = [(404, {"code": "not_found", "msg": "x"}), (503, {"code": "unavailable", "msg": "no response from servers"})]


@pytest.mark.parametrize(("command", "method"), [("remove", "RemoveParticipant"), ("mute", "MutePublishedTrack")])
@pytest.mark.parametrize("answer", GONE, ids=["404", "503"])
def test_participant_that_leaves_meanwhile_is_told(
    run: Run, team: Sfu, command: str, method: str, answer: tuple[int, object]
) -> None:
    team.wrong[method] = answer
    done = run("rooms", command, "team", "ann")
    assert (done.code, done.out) == (1, "")
    assert "error: ann has left meanwhile" in done.err
