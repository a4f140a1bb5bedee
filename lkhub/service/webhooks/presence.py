"""What events say is there, what LiveKit says is there, and the events that tell the difference. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lkhub.livekit.room_info import ACTIVE, Participant, Room, Track
from lkhub.livekit.webhooks import FOUND_PREFIX, WebhookEvent, dump_event
from lkhub.source.json_text import Json, parse_json
from lkhub.source.typed import unpack
from lkhub.store.events import Here, NewEvent

# The events that tell that something came or went, for a room, a participant and a track.
_CAME = ("room_started", "participant_joined", "track_published")
_WENT = ("room_finished", "participant_left", "track_unpublished")

# Of each object, the keys that identify it once it is gone.
_KEPT = {
    "room": ("sid", "name"),
    "participant": ("sid", "identity", "name", "kind"),
    "track": ("sid", "type", "source", "name"),
}


class Missed(NamedTuple):
    """An event that LiveKit's own did not arrive of: its name, the SID that it is about, its objects, and what it says
    is there."""

    name: str
    sid: str
    objects: Mapping[str, Json]
    came: Here | None


def note_event(event: WebhookEvent, data: Mapping[str, Json]) -> tuple[Here | None, str]:
    """What an event says is there, and the SID of what it says is gone."""
    if event.event in _WENT:
        return None, (event.room.sid, event.participant.sid, event.track.sid)[_WENT.index(event.event)]
    if event.event not in _CAME:
        return None, ""
    objects = {name: data[name] for name in ("room", "participant", "track") if isinstance(data.get(name), dict)}
    return _note(_CAME.index(event.event), objects), ""


def _note(level: int, objects: Mapping[str, Json]) -> Here | None:
    """`level` counts from the room: 0, its participant 1, a track of that 2."""
    names = tuple(_KEPT)[: level + 1]
    kept: dict[str, dict[str, Json]] = {}
    for name in names:
        given = objects.get(name)
        kept[name] = {key: given[key] for key in _KEPT[name] if key in given} if isinstance(given, Mapping) else {}
    sids = [str(kept[name].get("sid", "")) for name in names]
    if not all(sids):
        return None
    return Here(sids[-1], sids[0], sids[1] if level == 2 else "", dump_event(kept))


def find_missed(listed: Iterable[tuple[Room, Sequence[Participant]]], present: Iterable[Here]) -> list[Missed]:
    """The events that make what is `present` what LiveKit has `listed`, in an order in which they may have happened."""
    there: set[str] = set()
    came: list[Missed] = []
    known = {here.sid: here for here in present}
    for room, participants in listed:
        objects: dict[str, Json] = {"room": _describe_room(room)}
        _add(came, 0, room.sid, objects, known)
        there.add(room.sid)
        for participant in participants:
            there |= {participant.sid, *(track.sid for track in participant.tracks)}
            if participant.state != ACTIVE:  # LiveKit says that it has joined only once media gets through
                continue
            named = {"room": {"sid": room.sid, "name": room.name}}
            _add(came, 1, participant.sid, objects | {"participant": _describe_participant(participant)}, known)
            owner = {"sid": participant.sid, "identity": participant.identity}
            for track in participant.tracks:
                _add(came, 2, track.sid, named | {"participant": owner, "track": _describe_track(track)}, known)
    went = [_tell_gone(here) for here in known.values() if here.sid not in there]
    return [*sorted(went, key=lambda missed: -_WENT.index(missed.name)), *came]


def _add(came: list[Missed], level: int, sid: str, objects: Mapping[str, Json], known: Mapping[str, Here]) -> None:
    if sid and sid not in known:
        came.append(Missed(_CAME[level], sid, objects, _note(level, objects)))


def _tell_gone(here: Here) -> Missed:
    objects: dict[str, Json] = parse_json(here.body)
    return Missed(_WENT[len(objects) - 1], here.sid, objects, None)


def make_event(missed: Missed, receivers: tuple[str, ...], now: float) -> tuple[NewEvent, WebhookEvent]:
    """The event, as it is kept and passed on. It says that it was found, and its ID follows from what it is about: it
    is the same however often, and by whichever process, it is found."""
    id = f"{FOUND_PREFIX}{missed.name}_{missed.sid}"
    body = {"event": missed.name, **missed.objects, "id": id, "createdAt": str(int(now)), "found": True}
    event = unpack(WebhookEvent, body)
    went = missed.sid if missed.came is None else ""
    kept = NewEvent(id, event.room_name, event.event, dump_event(body), now, receivers, missed.came, went)
    return kept, event


def _describe_room(room: Room) -> Json:
    return _given(
        sid=room.sid,
        name=room.name,
        emptyTimeout=room.empty_timeout,
        departureTimeout=room.departure_timeout,
        maxParticipants=room.max_participants,
        creationTime=room.creation_time,
        metadata=room.metadata,
    )


def _describe_participant(participant: Participant) -> Json:
    return _given(
        sid=participant.sid,
        identity=participant.identity,
        state=participant.state,
        metadata=participant.metadata,
        joinedAt=participant.joined_at,
        name=participant.name,
        kind="" if participant.kind == "STANDARD" else participant.kind,
        attributes=participant.attributes,
    )


def _describe_track(track: Track) -> Json:
    return _given(
        sid=track.sid,
        type="" if track.type == "AUDIO" else track.type,
        name=track.name,
        muted=track.muted,
        width=track.width,
        height=track.height,
        source=track.source,
        mimeType=track.mime_type,
    )


def _given(**fields: Json) -> Json:
    """As LiveKit writes an object: a field that has its default is left out."""
    return {name: value for name, value in fields.items() if value and value != "0"}
