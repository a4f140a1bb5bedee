"""What has changed in the rooms of a LiveKit between two looks at them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from lkhub.livekit.room_info import ACTIVE, Participant, Room, Track

Event: TypeAlias = Literal[
    "room_started",
    "room_finished",
    "participant_connecting",
    "participant_joined",
    "participant_connection_aborted",
    "participant_left",
    "track_published",
    "track_unpublished",
    "track_muted",
    "track_unmuted",
]
"""The names are those of LiveKit's webhooks, as far as there is one: none says that a participant is connecting, and
none that a track is muted."""


class Occupied(Struct, frozen=True):
    """A room with its participants, as one look found them."""

    room: Room
    participants: tuple[Participant, ...]


class Change(Struct, frozen=True):
    """One change: of a room, of a participant in it, or of a track of that participant."""

    event: Event
    room: Room
    participant: Participant | None = None
    track: Track | None = None


def find_changes(before: Sequence[Occupied], after: Sequence[Occupied]) -> Iterator[Change]:
    """The changes that lead from one look to the next: first what has ended, then what has begun, each in LiveKit's own
    order.

    Rooms, participants and tracks are told apart by their SIDs. A participant that has joined anew under the same
    identity has left and joined.
    """
    earlier = {each.room.sid: each for each in before}
    later = {each.room.sid: each for each in after}
    for sid, occupied in earlier.items():
        yield from _list_ended(occupied, later.get(sid))
    for sid, occupied in later.items():
        yield from _list_begun(earlier.get(sid), occupied)


def _list_ended(before: Occupied, after: Occupied | None) -> Iterator[Change]:
    here = _by_sid(after)
    for participant in before.participants:
        still = here.get(participant.sid)
        tracks = _tracks_by_sid(still)
        for track in participant.tracks:
            if track.sid not in tracks:
                yield Change("track_unpublished", before.room, participant, track)
        if still is None:
            joined = participant.state == ACTIVE
            yield Change("participant_left" if joined else "participant_connection_aborted", before.room, participant)
    if after is None:
        yield Change("room_finished", before.room)


def _list_begun(before: Occupied | None, after: Occupied) -> Iterator[Change]:
    if before is None:
        yield Change("room_started", after.room)
    here = _by_sid(before)
    for participant in after.participants:
        known = here.get(participant.sid)
        if participant.state == ACTIVE and (known is None or known.state != ACTIVE):
            yield Change("participant_joined", after.room, participant)
        elif known is None:
            yield Change("participant_connecting", after.room, participant)
        tracks = _tracks_by_sid(known)
        for track in participant.tracks:
            old = tracks.get(track.sid)
            if old is None:
                yield Change("track_published", after.room, participant, track)
            elif old.muted != track.muted:
                yield Change("track_muted" if track.muted else "track_unmuted", after.room, participant, track)


def _by_sid(occupied: Occupied | None) -> Mapping[str, Participant]:
    return {each.sid: each for each in occupied.participants} if occupied else {}


def _tracks_by_sid(participant: Participant | None) -> Mapping[str, Track]:
    return {each.sid: each for each in participant.tracks} if participant else {}
