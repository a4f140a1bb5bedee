"""What is asked of LiveKit's RoomService, and what becomes of its refusals."""

import json
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.livekit import room_calls
from lkhub.livekit.room_calls import Call, read_answer
from lkhub.livekit.room_config import AgentDispatch
from tests.kit.room_service import make_room, make_track

BASE = "http://127.0.0.1:7880"

ODD = "a/b+c=d@e:f#g h\u202e"

CALLS: list[tuple[Call[Any], str, dict[str, Any], dict[str, Any]]] = [
    (room_calls.create_room(ODD), "CreateRoom", {"roomCreate": True}, {"name": ODD}),
    (
        room_calls.create_room("a", {"empty_timeout": 5}),
        "CreateRoom",
        {"roomCreate": True},
        {"name": "a", "empty_timeout": 5},
    ),
    (room_calls.list_rooms(), "ListRooms", {"roomList": True}, {}),
    (room_calls.list_rooms("a", "b"), "ListRooms", {"roomList": True}, {"names": ["a", "b"]}),
    (room_calls.delete_room(ODD), "DeleteRoom", {"roomCreate": True}, {"room": ODD}),
    (room_calls.list_participants(ODD), "ListParticipants", {"roomAdmin": True, "room": ODD}, {"room": ODD}),
    (
        room_calls.remove_participant("a", ODD),
        "RemoveParticipant",
        {"roomAdmin": True, "room": "a"},
        {"room": "a", "identity": ODD},
    ),
    (
        room_calls.mute_track("a", "ann", "TR_1", True),
        "MutePublishedTrack",
        {"roomAdmin": True, "room": "a"},
        {"room": "a", "identity": "ann", "track_sid": "TR_1", "muted": True},
    ),
    (
        room_calls.update_metadata(ODD, "m"),
        "UpdateRoomMetadata",
        {"roomAdmin": True, "room": ODD},
        {"room": ODD, "metadata": "m"},
    ),
    (room_calls.list_dispatches("a"), "ListDispatch", {"roomAdmin": True, "room": "a"}, {"room": "a"}),
    (
        room_calls.create_dispatch("a", AgentDispatch("scribe", "de")),
        "CreateDispatch",
        {"roomAdmin": True, "room": "a"},
        {"room": "a", "agent_name": "scribe", "metadata": "de"},
    ),
]


@pytest.mark.parametrize(("call", "method", "video", "body"), CALLS, ids=lambda value: getattr(value, "method", ""))
def test_call_has_no_more_rights_than_it_needs(
    call: Call[Any], method: str, video: dict[str, Any], body: dict[str, Any]
) -> None:
    assert (call.method, call.video, json.loads(json.dumps(call.body))) == (method, video, body)


def test_answers_are_read() -> None:
    def read(call: Call[Any], said: object) -> Any:
        return read_answer(call, BASE, 200, json.dumps(said).encode())

    assert read(room_calls.create_room("a"), make_room("a")).name == "a"
    assert [room.name for room in read(room_calls.list_rooms(), {"rooms": [make_room("a"), make_room("b")]}).rooms] == [
        "a",
        "b",
    ]
    assert read(room_calls.list_participants("a"), {"participants": []}).participants == ()
    assert read(room_calls.remove_participant("a", "ann"), {}) == room_calls.Nothing()
    assert read(room_calls.mute_track("a", "ann", "T", True), {"track": make_track("T", muted=True)}).track.muted


def twirp(code: str, msg: str) -> bytes:
    return json.dumps({"code": code, "msg": msg}).encode()


REFUSALS = [
    (
        404,
        twirp("not_found", "requested room does not exist"),
        "not_found",
        "LiveKit refuses DeleteRoom: requested room does not exist",
        "",
    ),
    (
        400,
        twirp("invalid_argument", "room name length exceeds limits: max length 256"),
        "invalid_argument",
        "LiveKit refuses DeleteRoom: room name length exceeds limits: max length 256",
        "",
    ),
    (
        401,
        twirp("unauthenticated", "permissions denied"),
        "unauthenticated",
        f"LiveKit at {BASE} does not accept the key of this hub: permissions denied",
        "`lkhub up` makes media take the keys of this hub, as soon as nobody is in a call",
    ),
    (
        401,
        b"invalid token",
        "unauthenticated",
        f"LiveKit at {BASE} does not accept the key of this hub",
        "`lkhub up` makes media take the keys of this hub, as soon as nobody is in a call",
    ),
    (
        404,
        b"404 page not found\n",
        "bad_route",
        f"what answers at {BASE} does not know DeleteRoom",
        "`lkhub status` shows whether media runs; another program may have its port",
    ),
    (
        404,
        twirp("bad_route", "no handler for path"),
        "bad_route",
        f"what answers at {BASE} does not know DeleteRoom: no handler for path",
        "`lkhub status` shows whether media runs; another program may have its port",
    ),
    (
        503,
        twirp("unavailable", "no response from servers"),
        "unavailable",
        "no participant answered DeleteRoom within LiveKit's time: no response from servers",
        "it may just have left: `lkhub rooms list` shows who is there",
    ),
    (500, b"", "internal", "LiveKit failed at DeleteRoom", "`lkhub logs media` shows what it says about that"),
    (
        500,
        twirp("internal", "could not lock room"),
        "internal",
        "LiveKit failed at DeleteRoom: could not lock room",
        "`lkhub logs media` shows what it says about that",
    ),
    (502, b"<html>bad gateway</html>", "", "LiveKit refuses DeleteRoom: status 502", ""),
    (403, twirp("permission_denied", ""), "permission_denied", "LiveKit refuses DeleteRoom: status 403", ""),
    (302, b"{}", "", "LiveKit refuses DeleteRoom: status 302", ""),
    (400, b'{"code": 7}', "", "LiveKit refuses DeleteRoom: status 400", ""),
    (418, b"[]", "", "LiveKit refuses DeleteRoom: status 418", ""),
]


@pytest.mark.parametrize(("status", "body", "code", "message", "hint"), REFUSALS)
def test_refusal_says_why_and_what_to_do(status: int, body: bytes, code: str, message: str, hint: str) -> None:
    with pytest.raises(MachineError) as raised:
        read_answer(room_calls.delete_room("a"), BASE, status, body)
    assert (raised.value.message, raised.value.code) == (message, code)
    assert raised.value.hints == ((hint,) if hint else ())


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it is no complete JSON"),
        (b'{"rooms": [', "it is no complete JSON"),
        (b"<html>", "it is no complete JSON"),
        (b"[" * 100_000, "it is no complete JSON"),
        (b"[]", "a value of another type"),
        (b'{"rooms": [{"name": 7}]}', "a wrong value at `$.rooms[0].name`"),
        (b'{"rooms": [{}]}', "'name' is missing"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_answer_that_is_none_of_livekits_is_told(body: bytes, why: str) -> None:
    with pytest.raises(MachineError) as raised:
        read_answer(room_calls.list_rooms(), BASE, 200, body)
    assert raised.value.message == f"the answer to ListRooms at {BASE} can't be read: {why}"
