"""`lkhub rooms mute`."""

import pytest

from tests.cli.conftest import Run
from tests.kit.room_service import Sfu


@pytest.mark.parametrize(
    ("arguments", "sids"),
    [
        ((), ["TR_1", "TR_2", "TR_3", "TR_4"]),
        (("--source", "microphone"), ["TR_1"]),
        (("--source", "camera"), ["TR_2"]),
        (("--source", "screen"), ["TR_3", "TR_4"]),
        (("--source", "screen_share"), ["TR_3"]),
        (("--source", "screen_share_audio"), ["TR_4"]),
        (("--track", "TR_2"), ["TR_2"]),
    ],
    ids=str,
)
def test_tracks_are_muted(run: Run, team: Sfu, arguments: tuple[str, ...], sids: list[str]) -> None:
    done = run("rooms", "mute", "team", "ann", *arguments)
    assert (done.code, done.err) == (0, "the participant can unmute it again\n")
    assert [line.split()[1:] for line in done.out.splitlines()] == [["muted", sid] for sid in sids]
    assert [track["sid"] for track in team.rooms["team"][1][0]["tracks"] if track["muted"]] == sids


def test_muted_tracks_as_json(run: Run, team: Sfu) -> None:
    done = run("rooms", "mute", "team", "ann", "--track", "TR_1", "--json")
    assert done.json["participant"] == {"identity": "ann", "name": "Ann A.", "sid": "PA_ann"}
    assert [(track["sid"], track["source"], track["muted"]) for track in done.json["tracks"]] == [
        ("TR_1", "microphone", True)
    ]


def test_unmuting_is_refused_and_says_how_it_can_be_allowed(run: Run, team: Sfu) -> None:
    done = run("rooms", "mute", "team", "ann", "--unmute")
    assert (done.code, done.out) == (1, "")
    assert "LiveKit refuses to unmute ann: only the participant can do that" in done.err
    assert "`livekit: {room: {enable_remote_unmute: true}}`" in done.err
    team.unmutes = True
    done = run("rooms", "mute", "team", "ann", "--track", "TR_1", "--unmute")
    assert (done.code, done.out, done.err) == (0, "microphone  live  TR_1\n", "")


@pytest.mark.parametrize(
    ("who", "arguments", "said"),
    [
        ("bob", (), "error: bob publishes nothing"),
        ("bob", ("--source", "camera"), "error: bob publishes nothing"),
        ("ann", ("--track", "TR_9"), "error: ann publishes no track TR_9"),
        ("ann", ("--source", "unknown"), "what it publishes: microphone (TR_1), camera (TR_2), screen_share (TR_3)"),
    ],
)
def test_what_is_not_published_is_not_muted(
    run: Run, team: Sfu, who: str, arguments: tuple[str, ...], said: str
) -> None:
    done = run("rooms", "mute", "team", who, *arguments)
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert not team.calls("MutePublishedTrack")


def test_track_that_ends_meanwhile_is_told(run: Run, team: Sfu) -> None:
    team.wrong["MutePublishedTrack"] = (200, {"track": None})
    done = run("rooms", "mute", "team", "ann")
    assert (done.code, done.out) == (1, "")
    assert "ann has meanwhile stopped publishing this" in done.err


def test_track_and_source_exclude_each_other(run: Run, team: Sfu) -> None:
    assert run("rooms", "mute", "team", "ann", "--track", "TR_1", "--source", "camera").code == 2
    assert run("rooms", "mute", "team", "ann", "--source", "nose").code == 2
