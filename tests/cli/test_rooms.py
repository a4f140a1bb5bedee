"""`lkhub rooms`, with a stand-in for the SFU of the running hub."""

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lkhub.cli.shared import rooms_watch
from lkhub.host.files import write_private
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret
from tests.cli.conftest import SECRET, Done, Run
from tests.kit.room_service import CREATED_MS, Sfu, make_participant, make_room, make_track, run_sfu

ODD = "a/b+c=d@e:f#g h"

UNSEEN = "\x1b[2J\u202ex\n"


@pytest.fixture
def sfu(applied: StatePaths, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sfu]:
    """The SFU of the running hub, three minutes after its first room was opened."""
    monkeypatch.setattr(time, "time", lambda: CREATED_MS / 1000 + 180)
    with run_sfu(SECRET) as made:
        record = json.loads(Path(applied.applied).read_text())
        record["urls"]["local_media"] = made.url
        write_private(applied.applied, json.dumps(record))
        yield made


@pytest.fixture
def team(sfu: Sfu) -> Sfu:
    """A room with two participants."""
    screen = [make_track("TR_3", "SCREEN_SHARE"), make_track("TR_4", "SCREEN_SHARE_AUDIO")]
    ann = make_participant("ann", make_track("TR_1"), make_track("TR_2", "CAMERA"), *screen, name="Ann A.")
    sfu.open(make_room("team", max_participants=16, metadata="é"), ann, make_participant("bob"))
    return sfu


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


def test_rooms_are_listed(run: Run, team: Sfu) -> None:
    team.open(make_room(ODD, creation_time_ms=str(CREATED_MS + 170_000)))
    team.open(make_room(UNSEEN, sid="RM_unseen"))
    team.open(make_room("日本語の部屋"))
    team.open(make_room("lkhub-verify-udp-01234567"), make_participant("lkhub-verify-speaker"))
    done = run("rooms", "list")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "ROOM                PARTICIPANTS  CREATED    EMPTY TIMEOUT  DEPARTURE TIMEOUT  METADATA",
        "'\\x1b[2J\\u202ex\\n'  0             3 min ago  300 s          20 s               none",
        "'a/b+c=d@e:f#g h'   0             10 s ago   300 s          20 s               none",
        "team                2 of 16       3 min ago  300 s          20 s               2 bytes",
        "日本語の部屋        0             3 min ago  300 s          20 s               none",
    ]


def test_rooms_are_listed_as_json(run: Run, team: Sfu) -> None:
    team.open(make_room(UNSEEN))
    done = run("rooms", "list", "--json")
    assert done.json["rooms"][1] == {
        "name": "team",
        "sid": "RM_team",
        "created": CREATED_MS / 1000,
        "participants": 2,
        "max_participants": 16,
        "empty_timeout": 300,
        "departure_timeout": 20,
        "metadata_bytes": 2,
    }
    assert (done.json["rooms"][0]["name"], done.json["rooms"][0]["max_participants"]) == (UNSEEN, None)
    assert done.out.isascii()
    assert "SECRETSECRET" not in done.out


def test_no_room_is_open(run: Run, sfu: Sfu) -> None:
    done = run("rooms", "list")
    assert (done.code, done.out, done.err) == (0, "", "no room is open\n")
    assert run("rooms", "list", "--json").json == {"rooms": []}


def test_room_is_shown(run: Run, team: Sfu) -> None:
    team.rooms["team"][1][1] |= {"identity": UNSEEN, "state": "JOINED", "kind": "AGENT", "permission": None}
    team.rooms["team"][1][0]["permission"] |= {"can_publish_sources": ["CAMERA", "MICROPHONE"], "hidden": True}
    team.rooms["team"][1][0]["tracks"][1]["muted"] = True
    done = run("rooms", "show", "team")
    assert (done.code, done.err) == (0, "")
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(CREATED_MS / 1000))
    layers = "VP8, simulcast: low 320×180 160 kbit/s, high 1280×720 3000 kbit/s"
    assert done.out.splitlines() == [
        "team  RM_team",
        f"  created {created}, 3 min ago; metadata: 2 bytes",
        "  closes if nobody joins within 300 s, or 20 s after the last one left",
        "  participants: 2 of 16",
        "",
        "  ann ('Ann A.')  active, joined 2 min ago  PA_ann",
        "    may publish camera, microphone, subscribe, send data; hidden",
        "    microphone  live  red  TR_1",
        f"    camera  muted  1280×720  {layers}  TR_2",
        f"    screen_share  live  1280×720  {layers}  TR_3",
        "    screen_share_audio  live  red  TR_4",
        "",
        "  '\\x1b[2J\\u202ex\\n'  joined, agent, joined 2 min ago  PA_bob",
        "    its permission is not known",
    ]


def test_room_is_shown_as_json(run: Run, team: Sfu) -> None:
    done = run("rooms", "show", "RM_team", "--json")
    assert done.json["room"]["metadata"] == "é"
    ann, bob = done.json["participants"]
    assert {key: value for key, value in ann.items() if key != "tracks"} == {
        "identity": "ann",
        "name": "Ann A.",
        "sid": "PA_ann",
        "state": "active",
        "kind": "standard",
        "joined_at": CREATED_MS / 1000 + 1.5,
        "metadata": "",
        "attributes": {},
        "permission": {
            "subscribe": True,
            "publish": True,
            "publish_sources": None,
            "data": True,
            "own_metadata": False,
            "hidden": False,
            "recorder": False,
        },
    }
    assert ann["tracks"][0] == {
        "sid": "TR_1",
        "name": "tone",
        "type": "audio",
        "source": "microphone",
        "muted": False,
        "encrypted": False,
        "width": None,
        "height": None,
        "codecs": [{"codec": "red", "layers": []}],
    }
    assert ann["tracks"][1]["codecs"] == [
        {
            "codec": "VP8",
            "layers": [
                {"quality": "low", "width": 320, "height": 180, "bitrate": 160_000, "rid": "q"},
                {"quality": "high", "width": 1280, "height": 720, "bitrate": 3_000_000, "rid": "f"},
            ],
        }
    ]
    assert bob["tracks"] == []


def svc(track: dict[str, Any]) -> None:
    track["codecs"][0] |= {"mime_type": "video/AV1", "video_layer_mode": "MULTIPLE_SPATIAL_LAYERS_PER_STREAM"}


def older(track: dict[str, Any]) -> None:
    track["codecs"] = []


def encrypted(track: dict[str, Any]) -> None:
    track |= {"encryption": "GCM", "codecs": []}


def unnamed(track: dict[str, Any]) -> None:
    track |= {"source": "UNKNOWN", "codecs": []}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            svc,
            "camera  live  1280×720  AV1, layers of one stream: low 320×180 160 kbit/s, high 1280×720 3000 kbit/s  "
            "TR_2",
        ),
        (older, "camera  live  1280×720  VP8  TR_2"),
        (encrypted, "camera  live  1280×720  VP8  end-to-end encrypted  TR_2"),
        (unnamed, "video of unknown source  live  1280×720  VP8  TR_2"),
    ],
)
def test_every_kind_of_track_is_described(
    run: Run, team: Sfu, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    change(team.rooms["team"][1][0]["tracks"][1])
    assert f"    {said}" in run("rooms", "show", "team").out.splitlines()


@pytest.mark.parametrize(
    ("permission", "said"),
    [
        ({"can_publish": False, "can_subscribe": False, "can_publish_data": False}, "may do nothing"),
        ({"can_publish": False}, "may subscribe, send data"),
        ({"can_update_metadata": True}, "may publish, subscribe, send data, change its own metadata"),
        ({"hidden": True, "recorder": True}, "may publish, subscribe, send data; hidden; recorder"),
    ],
)
def test_permission_is_told(run: Run, team: Sfu, permission: dict[str, bool], said: str) -> None:
    team.rooms["team"][1][0]["permission"] |= permission
    assert f"    {said}" in run("rooms", "show", "team").out.splitlines()


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


@pytest.mark.parametrize("command", [("list",), ("show", "a"), ("create", "a"), ("watch",)], ids=lambda each: each[0])
def test_hub_that_is_down_is_told_as_by_other_commands(run: Run, applied: StatePaths, command: tuple[str, ...]) -> None:
    record = json.loads(Path(applied.applied).read_text())
    record["urls"]["local_media"] = "http://127.0.0.1:1"
    write_private(applied.applied, json.dumps(record))
    done = run("rooms", *command)
    assert (done.code, done.out) == (3, "")
    assert "LiveKit does not answer at http://127.0.0.1:1 (ConnectError)" in done.err
    assert "`lkhub status` shows whether the hub runs" in done.err


@pytest.mark.parametrize("command", ["list", "watch"])
def test_hub_that_was_never_up_is_told(run: Run, paths: StatePaths, command: str) -> None:
    done = run("rooms", command)
    assert (done.code, done.out) == (3, "")
    assert "this hub has not been up yet" in done.err


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


@pytest.mark.parametrize("command", ["remove", "mute"])
def test_unknown_participant_has_a_near_match(run: Run, team: Sfu, command: str) -> None:
    done = run("rooms", command, "team", "Anne")
    assert (done.code, done.out) == (1, "")
    assert "no participant Anne is in room team" in done.err
    assert "did you mean ann?" in done.err


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


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, b"404 page not found"), "does not know ListRooms"),
        ((500, b""), "LiveKit failed at ListRooms"),
        ((200, b"<html>"), "can't be read"),
    ],
)
def test_bare_answer_is_a_sentence_with_a_remedy(run: Run, sfu: Sfu, answer: tuple[int, object], said: str) -> None:
    sfu.wrong["ListRooms"] = answer
    done = run("rooms", "list")
    assert (done.code, done.out) == (3, "")
    assert said in done.err


def test_key_that_livekit_does_not_know_is_told(run: Run, sfu: Sfu) -> None:
    sfu.secret = Secret("OTHER" * 8)
    done = run("rooms", "list")
    assert done.code == 3
    assert "does not accept the key of this hub" in done.err
    assert "`lkhub up` makes media take the keys of this hub" in done.err


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
