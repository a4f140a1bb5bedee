"""Rooms and participants of a running hub, found by what was typed."""

from collections.abc import Iterator

import pytest

from lkhub.errors import UnwellError
from lkhub.hub.rooms import find_participant, find_room, list_names, look_at_room, look_at_rooms
from lkhub.livekit.room_changes import Occupied
from lkhub.livekit.room_info import Participant, Room
from lkhub.livekit.rooms import RoomService
from lkhub.secret import Secret
from tests.kit.room_service import Sfu, make_participant, make_room, run_sfu

SECRET = Secret("X" * 40)


@pytest.fixture
def sfu() -> Iterator[Sfu]:
    with run_sfu(SECRET) as made:
        yield made


@pytest.fixture
def service(sfu: Sfu) -> Iterator[RoomService]:
    with RoomService(sfu.url, "API", SECRET) as made:
        yield made


@pytest.mark.parametrize("name", ["voice-1", "a/b+c=d@e:f#g h", "x" * 256, "日本語", "\x1b[2J\u202e", "RM_voice-1"])
def test_room_is_found_by_name_and_by_sid(sfu: Sfu, service: RoomService, name: str) -> None:
    sfu.open(make_room("voice-1"))
    sfu.open(make_room(name, sid="RM_other"))
    assert find_room(service, name).sid == "RM_other"
    assert find_room(service, "RM_other").name == name


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("voice1", "did you mean voice-1?"),
        ("VOICE-1", "did you mean voice-1?"),
        ("friends room", "did you mean 'friends‘ room'?"),
        ("zzz", "`lkhub rooms list` shows the open rooms"),
    ],
)
def test_unknown_room_has_a_near_match(sfu: Sfu, service: RoomService, given: str, hint: str) -> None:
    sfu.open(make_room("voice-1"))
    sfu.open(make_room("friends‘ room"))
    with pytest.raises(UnwellError, match="is open") as raised:
        find_room(service, given)
    assert raised.value.hints == (hint,)


def test_no_room_at_all_is_told(service: RoomService) -> None:
    with pytest.raises(UnwellError) as raised:
        find_room(service, "\x1b[2J")
    assert raised.value.message == r"no room '\x1b[2J' is open"
    assert raised.value.hints == ("no other room is open either",)


def occupy(*identities: str) -> Occupied:
    return Occupied(Room("team"), tuple(Participant(f"PA_{who}", who) for who in identities))


def test_participant_is_found_by_identity_and_by_sid() -> None:
    occupied = occupy("ann", "bob", "PA_ann")
    assert find_participant(occupied, "bob").identity == "bob"
    assert find_participant(occupied, "PA_bob").identity == "bob"
    assert find_participant(occupied, "PA_ann").identity == "PA_ann"


@pytest.mark.parametrize(
    ("identities", "hint"),
    [
        (("ann", "bob"), "did you mean ann?"),
        (("carol", "dave it is"), "in it: carol, 'dave it is'"),
        ((), "nobody is in it"),
        (
            tuple(f"user{number}" for number in range(9)),
            "in it: " + ", ".join(f"user{n}" for n in range(8)) + " and 1 more",
        ),
    ],
)
def test_unknown_participant_has_a_near_match(identities: tuple[str, ...], hint: str) -> None:
    with pytest.raises(UnwellError) as raised:
        find_participant(occupy(*identities), "Ann")
    assert raised.value.message == "no participant Ann is in room team"
    assert raised.value.hints == (hint,)


def test_few_names_are_all_listed() -> None:
    assert list_names([str(number) for number in range(8)]) == "0, 1, 2, 3, 4, 5, 6, 7"


def test_rooms_come_by_name_and_participants_by_when_they_joined(sfu: Sfu, service: RoomService) -> None:
    late, early = make_participant("ann", joined_at_ms="3"), make_participant("bob", joined_at_ms="2")
    for name in ("b", "lkhub-verify-udp-0123", "a"):
        sfu.open(make_room(name), late, early)
    rooms = look_at_rooms(service)
    assert [(each.room.name, [who.identity for who in each.participants]) for each in rooms] == [
        ("a", ["bob", "ann"]),
        ("b", ["bob", "ann"]),
    ]


def test_room_that_has_closed_meanwhile_is_empty(service: RoomService) -> None:
    assert look_at_room(service, Room("gone")).participants == ()
