"""What is there, as events say it and as LiveKit says it."""

import json
from typing import Any

import pytest
from google.protobuf.json_format import Parse
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol.webhook import WebhookEvent as LiveKitEvent

from lkhub.livekit.room_info import Participant, Room, Track
from lkhub.livekit.webhooks import read_event
from lkhub.service.webhooks.presence import find_missed, make_event, note_event
from lkhub.store.events import Here

ROOM = Room("lobby", "RM_1", empty_timeout=300, creation_time="1800000000", metadata="m")
TRACK = Track("TR_1", type="VIDEO", source="CAMERA", width=640, height=360, mime_type="video/vp8")
ANN = Participant(
    *("PA_1", "ann", "Ann", "ACTIVE", "STANDARD"), joined_at="1800000001", attributes={"k_x": "v"}, tracks=(TRACK,)
)


def read(name: str, **objects: Any) -> tuple[Here | None, str]:
    return note_event(*read_event(json.dumps({"event": name, "id": "EV_1", **objects}).encode()))


L_ROOM = {"sid": "RM_1", "name": "lobby", "metadata": "m" * 1000}
L_ANN = {"sid": "PA_1", "identity": "ann", "name": "Ann", "state": "ACTIVE", "metadata": "x" * 1000}
L_TRACK = {"sid": "TR_1", "source": "CAMERA", "type": "VIDEO", "width": 1}


def test_what_events_say() -> None:
    room = {"sid": "RM_1", "name": "lobby"}
    ann = {"sid": "PA_1", "identity": "ann", "name": "Ann"}
    here, went = read("room_started", room=L_ROOM)
    assert (here, went) == (Here("RM_1", "RM_1", "", here.body if here else ""), "")
    assert here is not None
    assert json.loads(here.body) == {"room": room}
    here, _ = read("participant_joined", room=L_ROOM, participant=L_ANN)
    assert here is not None
    assert (here.sid, here.room, here.participant) == ("PA_1", "RM_1", "")
    assert json.loads(here.body) == {"room": room, "participant": ann}
    here, _ = read("track_published", room=L_ROOM, participant=L_ANN, track=L_TRACK)
    assert here is not None
    assert (here.sid, here.room, here.participant) == ("TR_1", "RM_1", "PA_1")
    assert json.loads(here.body)["track"] == {"sid": "TR_1", "source": "CAMERA", "type": "VIDEO"}
    assert read("track_unpublished", room=L_ROOM, participant=L_ANN, track=L_TRACK) == (None, "TR_1")
    assert read("participant_left", room=L_ROOM, participant=L_ANN) == (None, "PA_1")
    assert read("room_finished", room=L_ROOM) == (None, "RM_1")


@pytest.mark.parametrize("name", ["participant_connection_aborted", "egress_started", "something_new"])
def test_other_events_say_nothing(name: str) -> None:
    assert read(name, room=L_ROOM, participant=L_ANN) == (None, "")


@pytest.mark.parametrize("name", ["room_started", "participant_joined", "track_published"])
@pytest.mark.parametrize("objects", [{}, {"room": {}}, {"room": {"sid": ""}}, {"participant": {}, "track": {}}])
def test_event_without_its_sids_says_nothing(name: str, objects: dict[str, Any]) -> None:
    assert read(name, **objects) == (None, "")


# --- what was missed


def names(listed: Any, present: list[Here]) -> list[tuple[str, str]]:
    return [(missed.name, missed.sid) for missed in find_missed(listed, present)]


def play(listed: Any, present: list[Here]) -> list[Here]:
    """What is present after the missed events."""
    known = {here.sid: here for here in present}
    for missed in find_missed(listed, present):
        kept, _ = make_event(missed, (), 1.0)
        if kept.came:
            known[kept.came.sid] = kept.came
        for sid, here in list(known.items()):
            if kept.went and kept.went in here[:3]:
                del known[sid]
    return list(known.values())


def test_all_of_a_call_is_found() -> None:
    listed = [(ROOM, [ANN])]
    assert names(listed, []) == [("room_started", "RM_1"), ("participant_joined", "PA_1"), ("track_published", "TR_1")]
    present = play(listed, [])
    assert names(listed, present) == []
    gone = [("track_unpublished", "TR_1"), ("participant_left", "PA_1"), ("room_finished", "RM_1")]
    assert names([], present) == gone
    assert play([], present) == []


def test_room_that_was_closed_and_opened_again() -> None:
    present = play([(ROOM, [ANN])], [])
    again = Room("lobby", "RM_2")
    assert names([(again, [])], present)[-2:] == [("room_finished", "RM_1"), ("room_started", "RM_2")]


@pytest.mark.parametrize("state", ["JOINING", "JOINED", "DISCONNECTED"])
def test_participant_that_is_not_active_has_neither_joined_nor_left(state: str) -> None:
    other = Participant("PA_1", "ann", state=state, tracks=(TRACK,))
    present = play([(ROOM, [ANN])], [])
    assert names([(ROOM, [other])], []) == [("room_started", "RM_1")]
    assert names([(ROOM, [other])], present) == []


def people_of(room: Room, numbers: list[int]) -> tuple[Room, list[Participant]]:
    """A SID is of one stay in one room."""
    return room, [
        Participant(
            *(f"PA_{room.sid}{n}", "i"),
            state="ACTIVE",
            tracks=tuple(Track(f"TR_{room.sid}{n}{m}") for m in range(n % 3)),
        )
        for n in numbers
    ]


rooms = st.lists(
    st.builds(
        people_of,
        st.sampled_from([Room("a", "RM_1"), Room("a", "RM_2"), Room("b", "RM_3")]),
        st.lists(st.integers(0, 6), unique=True),
    ),
    unique_by=lambda pair: pair[0].sid,
)


@given(rooms, rooms)
def test_after_what_was_missed_nothing_is_missed(before: Any, after: Any) -> None:
    """From any state to any other."""
    assert names(after, play(after, play(before, []))) == []


def test_found_event_says_so_and_livekits_own_parser_takes_it() -> None:
    for missed in [*find_missed([(ROOM, [ANN])], []), *find_missed([], play([(ROOM, [ANN])], []))]:
        kept, event = make_event(missed, ("https://a.example/",), 1_800_000_000.7)
        body = json.loads(kept.body)
        assert body["found"] is True
        assert event.found
        assert event.id == kept.id == body["id"] == f"FOUND_{missed.name}_{missed.sid}"
        assert (kept.room, event.room_name) == ("lobby", "lobby")
        assert kept.receivers == ("https://a.example/",)
        parsed = Parse(kept.body, LiveKitEvent(), ignore_unknown_fields=True)
        assert (parsed.event, parsed.id, parsed.created_at) == (missed.name, kept.id, 1_800_000_000)
        assert parsed.room.sid == "RM_1"
    joined, _ = make_event(find_missed([(ROOM, [ANN])], [])[1], (), 1.0)
    participant = Parse(joined.body, LiveKitEvent(), ignore_unknown_fields=True).participant
    assert (participant.identity, participant.joined_at, dict(participant.attributes)) == (
        *("ann", 1_800_000_001),
        {"k_x": "v"},
    )


def test_what_is_found_twice_is_the_same_event() -> None:
    missed = find_missed([(ROOM, [])], [])[0]
    assert make_event(missed, (), 1.0)[0].id == make_event(missed, (), 2.0)[0].id
