"""`lkhub rooms watch`."""

import json
import time
from collections.abc import Callable

import pytest

from lkhub.cli.shared import rooms_watch
from tests.cli.conftest import Done, Run
from tests.kit.room_service import Sfu, make_participant, make_room, make_track

Step = Callable[[Sfu], None]


@pytest.fixture
def watch(run: Run, sfu: Sfu, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """`rooms watch` with these steps between its looks, and Ctrl-C after the last."""

    def watch_through(*steps: Step, json: bool = False) -> Done:
        left = iter(steps)

        def sleep(_: float) -> None:
            step = next(left, None)
            if step is None:
                raise KeyboardInterrupt
            step(sfu)

        monkeypatch.setattr("lkhub.cli.shared.rooms_watch.time.sleep", sleep)
        return run("rooms", "watch", *(["--json"] if json else []))

    return watch_through


def open_team(sfu: Sfu) -> None:
    sfu.open(make_room("team"), make_participant("ann", make_track("TR_1")), make_participant("b b", state="JOINING"))


def mute_ann(sfu: Sfu) -> None:
    sfu.rooms["team"][1][0]["tracks"][0]["muted"] = True


def unmute_ann(sfu: Sfu) -> None:
    sfu.rooms["team"][1][0]["tracks"][0]["muted"] = False


def lose_b(sfu: Sfu) -> None:
    sfu.rooms["team"][1].pop()


def close_team(sfu: Sfu) -> None:
    del sfu.rooms["team"]


def nothing(sfu: Sfu) -> None:
    """No change."""


def test_changes_are_shown_until_ctrl_c(watch: Callable[..., Done], sfu: Sfu) -> None:
    sfu.open(make_room("old"), make_participant("zoe"))
    done = watch(nothing, open_team, mute_ann, unmute_ann, lose_b, close_team)
    assert done.code == 0
    clock = time.strftime("%H:%M:%S", time.localtime(time.time()))
    assert done.out.splitlines() == [
        f"{clock}  {text}"
        for text in (
            "team is open",
            "ann joins team",
            "ann publishes microphone in team",
            "'b b' is connecting to team",
            "the microphone of ann is muted in team",
            "the microphone of ann is no longer muted in team",
            "'b b' did not get into team: its media never connected",
            "ann no longer publishes microphone in team",
            "ann leaves team",
            "team is closed",
        )
    ]
    assert "1 room, 1 participant; Ctrl-C ends" in done.err
    assert "what begins and ends in between is not seen" in done.err


def test_changes_are_lines_of_json(watch: Callable[..., Done], sfu: Sfu) -> None:
    sfu.open(make_room("old"), make_participant("zoe"))
    done = watch(open_team, close_team, json=True)
    first, *lines = [json.loads(line) for line in done.out.splitlines()]
    assert (first["event"], first["rooms"][0]["room"]["name"]) == ("watching", "old")
    assert first["rooms"][0]["participants"][0]["identity"] == "zoe"
    assert [line["event"] for line in lines] == [
        "room_started",
        "participant_joined",
        "track_published",
        "participant_connecting",
        "track_unpublished",
        "participant_left",
        "participant_connection_aborted",
        "room_finished",
    ]
    assert {line["room"]["sid"] for line in lines} == {"RM_team"}
    assert lines[2] == {
        "at": time.time(),
        "event": "track_published",
        "room": {"name": "team", "sid": "RM_team"},
        "participant": {"identity": "ann", "name": "", "sid": "PA_ann"},
        "track": {
            "sid": "TR_1",
            "name": "tone",
            "type": "audio",
            "source": "microphone",
            "muted": False,
            "encrypted": False,
            "width": None,
            "height": None,
            "codecs": [{"codec": "red", "layers": []}],
        },
    }


def fail(sfu: Sfu) -> None:
    sfu.wrong["ListRooms"] = (500, b"")


def recover(sfu: Sfu) -> None:
    sfu.wrong.clear()
    open_team(sfu)


@pytest.mark.parametrize("as_json", [False, True])
def test_hub_that_is_down_for_a_while_is_followed_further(watch: Callable[..., Done], as_json: bool) -> None:
    done = watch(fail, nothing, recover, json=as_json)
    assert done.code == 0
    assert done.err.count("warning: LiveKit failed at ListRooms") == 1
    assert "what changes meanwhile is shown when it answers again" in done.err
    assert "LiveKit answers again" in done.err
    if as_json:
        events = [json.loads(line)["event"] for line in done.out.splitlines()]
        assert events[:4] == ["watching", "connection_lost", "connection_restored", "room_started"]
    else:
        assert "ann joins team" in done.out


def test_looks_take_a_small_part_of_the_time(run: Run, sfu: Sfu, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr("lkhub.cli.shared.rooms_watch.time.sleep", sleep)
    monkeypatch.setattr(rooms_watch, "_look", lambda _: ((), 0.4))
    assert run("rooms", "watch").code == 0
    monkeypatch.setattr(rooms_watch, "_look", lambda _: ((), 0.002))
    assert run("rooms", "watch").code == 0
    assert waits == [4.0, 1.0]
