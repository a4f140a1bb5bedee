"""`lkhub rooms list`."""

from tests.cli.conftest import Run
from tests.cli.rooms.kit import ODD, UNSEEN
from tests.kit.room_service import CREATED_MS, Sfu, make_participant, make_room


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
