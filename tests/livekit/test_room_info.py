"""What LiveKit says of rooms and participants, as lkhub reads it."""

from typing import Any

import pytest

from lkhub.livekit.room_calls import MutedTrack
from lkhub.livekit.room_info import Codec, Layer, Participant, Permission, Room, Track
from lkhub.source.typed import ShapeError, pack, unpack
from tests.kit.room_service import make_participant, make_room, make_track


def test_room_is_read_without_its_secret() -> None:
    room = unpack(Room, make_room("lobby", metadata="m", max_participants=3))
    assert (room.name, room.sid, room.metadata, room.max_participants) == ("lobby", "RM_lobby", "m", 3)
    assert (room.empty_timeout, room.departure_timeout) == (300, 20)
    assert room.created_at == 1795903392.110
    assert "SECRETSECRET" not in str(pack(room))


def test_participant_is_read_with_its_tracks() -> None:
    sound, picture = make_track("TR_1"), make_track("TR_2", "CAMERA", muted=True)
    participant = unpack(Participant, make_participant("ann", sound, picture, kind="AGENT", attributes={"a": "b"}))
    assert participant.since == 1795903393.610
    assert participant.permission == Permission(can_subscribe=True, can_publish=True, can_publish_data=True)
    assert (participant.kind, participant.state, participant.attributes) == ("AGENT", "ACTIVE", {"a": "b"})
    layers = (Layer("LOW", 320, 180, 160_000, "q"), Layer("HIGH", 1280, 720, 3_000_000, "f"))
    mode = "ONE_SPATIAL_LAYER_PER_STREAM"
    assert participant.tracks == (
        Track("TR_1", "AUDIO", "MICROPHONE", "tone", False, 0, 0, "audio/red", (Codec("audio/red", (), mode),), "NONE"),
        Track(
            "TR_2", "VIDEO", "CAMERA", "tone", True, 1280, 720, "video/VP8", (Codec("video/VP8", layers, mode),), "NONE"
        ),
    )


def test_older_livekit_has_no_milliseconds() -> None:
    assert unpack(Room, {"name": "lobby", "creation_time": "1795903392"}).created_at == 1795903392.0
    assert unpack(Participant, {"sid": "P", "identity": "ann", "joined_at": "5"}).since == 5.0


def test_fields_that_are_left_out_have_their_defaults() -> None:
    assert unpack(Participant, {"sid": "P", "identity": "ann", "permission": None}).permission is None
    assert unpack(MutedTrack, {"track": None}).track is None
    assert unpack(Room, {"name": "lobby"}).created_at == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"creation_time_ms": "soon"},
        {"creation_time_ms": "-1"},
        {"creation_time_ms": "9" * 400},
        {"creation_time_ms": 5},
        {"name": 7},
        {"max_participants": "3"},
        {"metadata": None},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ShapeError):
        unpack(Room, make_room("lobby") | wrong)


@pytest.mark.parametrize(
    ("more", "counted"),
    [
        ({}, True),
        ({"kind": "SIP"}, True),
        ({"kind": "INGRESS"}, True),
        ({"permission": {"hidden": True}}, True),
        ({"permission": None}, True),
        ({"kind": "AGENT"}, False),
        ({"kind": "EGRESS"}, False),
        ({"permission": {"recorder": True}}, False),
    ],
)
def test_agents_and_recorders_are_not_counted(more: dict[str, Any], counted: bool) -> None:
    assert unpack(Participant, {**make_participant("ann"), **more}).is_counted is counted
