"""What has changed between two looks at the rooms."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from lkhub.livekit.room_changes import Change, Occupied, find_changes
from lkhub.livekit.room_info import Participant, Room, Track


def person(identity: str, *tracks: Track, sid: str = "", state: str = "ACTIVE") -> Participant:
    return Participant(sid or f"PA_{identity}", identity, state=state, tracks=tracks)


def lobby(*participants: Participant, sid: str = "RM_1") -> Occupied:
    return Occupied(Room("lobby", sid), participants)


MICROPHONE = Track("TR_1", source="MICROPHONE")
MUTED = Track("TR_1", source="MICROPHONE", muted=True)
CAMERA = Track("TR_2", source="CAMERA")


def events(before: Sequence[Occupied], after: Sequence[Occupied]) -> list[str]:
    """`event room participant track` of each change."""
    return [describe(change) for change in find_changes(before, after)]


def describe(change: Change) -> str:
    parts = [change.event, change.room.sid]
    parts += [change.participant.sid] if change.participant else []
    parts += [change.track.sid] if change.track else []
    return " ".join(parts)


def test_whole_life_of_a_call_comes_in_livekits_order() -> None:
    assert events([], [lobby(person("ann", MICROPHONE))]) == [
        "room_started RM_1",
        "participant_joined RM_1 PA_ann",
        "track_published RM_1 PA_ann TR_1",
    ]
    assert events([lobby(person("ann", MICROPHONE))], []) == [
        "track_unpublished RM_1 PA_ann TR_1",
        "participant_left RM_1 PA_ann",
        "room_finished RM_1",
    ]


def test_nothing_has_changed() -> None:
    rooms = [lobby(person("ann", MICROPHONE, CAMERA), person("bob", state="JOINING"))]
    assert events(rooms, rooms) == []


def test_tracks_come_go_and_are_muted() -> None:
    assert events([lobby(person("ann", MICROPHONE))], [lobby(person("ann", MUTED, CAMERA))]) == [
        "track_muted RM_1 PA_ann TR_1",
        "track_published RM_1 PA_ann TR_2",
    ]
    assert events([lobby(person("ann", MUTED, CAMERA))], [lobby(person("ann", MICROPHONE))]) == [
        "track_unpublished RM_1 PA_ann TR_2",
        "track_unmuted RM_1 PA_ann TR_1",
    ]


def test_participant_has_joined_when_its_media_is_connected() -> None:
    connecting, joined = lobby(person("ann", state="JOINED")), lobby(person("ann"))
    assert events([lobby()], [connecting]) == ["participant_connecting RM_1 PA_ann"]
    assert events([connecting], [connecting]) == []
    assert events([connecting], [joined]) == ["participant_joined RM_1 PA_ann"]
    assert events([connecting], [lobby()]) == ["participant_connection_aborted RM_1 PA_ann"]
    assert events([joined], [lobby()]) == ["participant_left RM_1 PA_ann"]


def test_same_identity_anew_has_left_and_joined() -> None:
    assert events([lobby(person("ann", MICROPHONE))], [lobby(person("ann", sid="PA_2"))]) == [
        "track_unpublished RM_1 PA_ann TR_1",
        "participant_left RM_1 PA_ann",
        "participant_joined RM_1 PA_2",
    ]


def test_same_name_anew_is_another_room() -> None:
    assert events([lobby(person("ann"))], [lobby(person("ann", sid="PA_2"), sid="RM_2")]) == [
        "participant_left RM_1 PA_ann",
        "room_finished RM_1",
        "room_started RM_2",
        "participant_joined RM_2 PA_2",
    ]


def track_lists(owner: str) -> st.SearchStrategy[tuple[Track, ...]]:
    """SIDs are unique: a track is one participant's, and a participant in one room."""
    muted = st.dictionaries(st.sampled_from("xyz"), st.booleans())
    return muted.map(lambda found: tuple(Track(f"{owner}{name}", muted=on) for name, on in found.items()))


def participant_lists(room: str) -> st.SearchStrategy[tuple[Participant, ...]]:
    def build(sid: str) -> st.SearchStrategy[Participant]:
        return st.builds(
            Participant,
            sid=st.just(sid),
            identity=st.sampled_from(["ann", "bob"]),
            state=st.sampled_from(["JOINING", "JOINED", "ACTIVE"]),
            tracks=track_lists(sid),
        )

    return st.lists(st.sampled_from("abc"), unique=True).flatmap(
        lambda names: st.tuples(*(build(f"{room}{name}") for name in names))
    )


def occupied(sid: str) -> st.SearchStrategy[Occupied]:
    return participant_lists(sid).map(lambda participants: Occupied(Room("lobby", sid), participants))


LOOKS = st.lists(st.sampled_from("123"), unique=True).flatmap(lambda sids: st.tuples(*map(occupied, sids)))

# What a reader of the changes knows: open rooms, participants that have joined, tracks and whether they are muted.
Known = tuple[set[str], set[str], dict[str, bool]]


def known(rooms: Iterable[Occupied]) -> Known:
    participants = [each for occupied in rooms for each in occupied.participants]
    return (
        {each.room.sid for each in rooms},
        {each.sid for each in participants if each.state == "ACTIVE"},
        {track.sid: track.muted for each in participants for track in each.tracks},
    )


def follow(state: Known, changes: Iterable[Change]) -> Known:
    """Each change must be possible: nothing begins twice, and nothing ends that has not begun."""
    rooms, joined, tracks = set(state[0]), set(state[1]), dict(state[2])
    for change in changes:
        who = change.participant.sid if change.participant else ""
        track = change.track.sid if change.track else ""
        match change.event:
            case "room_started":
                assert change.room.sid not in rooms
                rooms.add(change.room.sid)
            case "room_finished":
                rooms.remove(change.room.sid)
            case "participant_joined":
                assert who not in joined
                joined.add(who)
            case "participant_left":
                joined.remove(who)
            case "track_published":
                assert track not in tracks
                assert change.track
                tracks[track] = change.track.muted
            case "track_unpublished":
                del tracks[track]
            case "track_muted" | "track_unmuted":
                assert tracks[track] == (change.event == "track_unmuted")
                tracks[track] = change.event == "track_muted"
    return rooms, joined, tracks


@given(st.lists(LOOKS, min_size=2, max_size=4))
def test_whoever_follows_the_changes_knows_the_rooms(looks: list[tuple[Occupied, ...]]) -> None:
    state = known(looks[0])
    for before, after in pairwise(looks):
        # An active participant that is not active any more is none of LiveKit's.
        active = {each.sid for room in before for each in room.participants if each.state == "ACTIVE"}
        back = {each.sid for room in after for each in room.participants if each.state != "ACTIVE"}
        assume(not active & back)
        state = follow(state, find_changes(before, after))
        assert state == known(after)
