"""How `lkhub rooms` shows rooms, participants and tracks."""

import time
from collections.abc import Iterable, Sequence

from rich.text import Text

from lkhub.cli.shared.show import lasting, out
from lkhub.cli.shared.table import show_table
from lkhub.livekit.room_changes import Occupied
from lkhub.livekit.room_info import Codec, Layer, Participant, Permission, Room, Track
from lkhub.livekit.tokens import count_bytes, show_name

# VideoLayer.Mode of a codec that has all layers in one stream.
_SVC = "MULTIPLE_SPATIAL_LAYERS_PER_STREAM"


def show_rooms(rooms: Sequence[Occupied]) -> None:
    """A line for each room."""
    heads = ("ROOM", "PARTICIPANTS", "CREATED", "EMPTY TIMEOUT", "DEPARTURE TIMEOUT", "METADATA")
    show_table(heads, [_describe_room(each) for each in rooms])


def _describe_room(occupied: Occupied) -> tuple[str, ...]:
    room = occupied.room
    return (
        show_name(room.name),
        describe_filling(occupied),
        f"{lasting(room.created_at)} ago",
        f"{room.empty_timeout} s",
        f"{room.departure_timeout} s",
        _describe_size(room.metadata),
    )


def describe_filling(occupied: Occupied) -> str:
    """`3`, or `3 of 16` where the room has a limit."""
    limit = occupied.room.max_participants
    return f"{len(occupied.participants)} of {limit}" if limit else str(len(occupied.participants))


def describe_end(room: Room) -> str:
    empty, departure = room.empty_timeout, room.departure_timeout
    return f"closes if nobody joins within {empty} s, or {departure} s after the last one left"


def describe_count(participants: int) -> str:
    return "1 participant" if participants == 1 else f"{participants} participants"


def show_room(occupied: Occupied) -> None:
    """A room and everything in it."""
    room = occupied.room
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(room.created_at))
    out.print(f"{show_name(room.name)}  {room.sid}")
    out.print(f"  created {created}, {lasting(room.created_at)} ago; metadata: {_describe_size(room.metadata)}")
    out.print(f"  {describe_end(room)}")
    out.print(f"  participants: {describe_filling(occupied)}")
    for participant in occupied.participants:
        _show_participant(participant)


def _show_participant(participant: Participant) -> None:
    name = f" ({show_name(participant.name)})" if participant.name else ""
    kind = f", {participant.kind.lower()}" if participant.kind not in ("", "STANDARD") else ""
    state = f"{participant.state.lower()}{kind}, joined {lasting(participant.since)} ago"
    out.print()
    out.print(Text.assemble("  ", (show_name(participant.identity), "bold"), f"{name}  {state}  {participant.sid}"))
    out.print(f"    {_describe_permission(participant.permission)}")
    for track in participant.tracks:
        out.print(f"    {describe_source(track)}  {_describe_track(track)}")


def describe_source(track: Track) -> str:
    """`microphone`, or the kind of media where the publisher does not say what it is."""
    source = track.source.lower()
    return f"{track.type.lower()} of unknown source" if source in ("", "unknown") else source


def _describe_track(track: Track) -> str:
    codecs = track.codecs or (Codec(track.mime_type),)
    parts = [
        "muted" if track.muted else "live",
        f"{track.width}×{track.height}" if track.width else "",
        *map(_describe_codec, codecs),
        "end-to-end encrypted" if track.encryption not in ("", "NONE") else "",
        track.sid,
    ]
    return "  ".join(filter(None, parts))


def _describe_codec(codec: Codec) -> str:
    name = codec_name(codec.mime_type)
    if len(codec.layers) < 2:
        return name
    kind = "layers of one stream" if codec.video_layer_mode == _SVC else "simulcast"
    return f"{name}, {kind}: {', '.join(map(_describe_layer, codec.layers))}"


def _describe_layer(layer: Layer) -> str:
    rate = f" {round(layer.bitrate / 1000)} kbit/s" if layer.bitrate else ""
    return f"{layer.quality.lower()} {layer.width}×{layer.height}{rate}"


def codec_name(mime_type: str) -> str:
    """`VP8` of `video/VP8`."""
    return mime_type.rpartition("/")[2]


def _describe_permission(permission: Permission | None) -> str:
    if permission is None:
        return "its permission is not known"
    sources = ", ".join(source.lower() for source in permission.can_publish_sources)
    may = {
        f"publish {sources}".rstrip(): permission.can_publish,
        "subscribe": permission.can_subscribe,
        "send data": permission.can_publish_data,
        "change its own metadata": permission.can_update_metadata,
    }
    marks = {"hidden": permission.hidden, "recorder": permission.recorder}
    allowed = ", ".join(text for text, on in may.items() if on) or "do nothing"
    return "; ".join([f"may {allowed}", *(text for text, on in marks.items() if on)])


def _describe_size(metadata: str) -> str:
    return f"{count_bytes(metadata)} bytes" if metadata else "none"


def pack_room(occupied: Occupied) -> dict[str, object]:
    """A room of `lkhub rooms list --json`."""
    room = occupied.room
    return {
        **pack_name(room),
        "created": room.created_at,
        "participants": len(occupied.participants),
        "max_participants": room.max_participants or None,
        "empty_timeout": room.empty_timeout,
        "departure_timeout": room.departure_timeout,
        "metadata_bytes": count_bytes(room.metadata),
    }


def pack_name(room: Room) -> dict[str, object]:
    return {"name": room.name, "sid": room.sid}


def pack_occupied(occupied: Occupied) -> dict[str, object]:
    """`lkhub rooms show --json`."""
    room = {**pack_room(occupied), "metadata": occupied.room.metadata}
    return {"room": room, "participants": [pack_participant(each) for each in occupied.participants]}


def pack_participant(participant: Participant) -> dict[str, object]:
    permission = participant.permission
    return {
        **pack_person(participant),
        "state": participant.state.lower(),
        "kind": participant.kind.lower(),
        "joined_at": participant.since,
        "metadata": participant.metadata,
        "attributes": participant.attributes,
        "permission": permission and _pack_permission(permission),
        "tracks": [pack_track(track) for track in participant.tracks],
    }


def pack_person(participant: Participant) -> dict[str, object]:
    return {"identity": participant.identity, "name": participant.name, "sid": participant.sid}


def _pack_permission(permission: Permission) -> dict[str, object]:
    return {
        "subscribe": permission.can_subscribe,
        "publish": permission.can_publish,
        # An empty list is LiveKit's way to say that all sources are allowed.
        "publish_sources": [source.lower() for source in permission.can_publish_sources] or None,
        "data": permission.can_publish_data,
        "own_metadata": permission.can_update_metadata,
        "hidden": permission.hidden,
        "recorder": permission.recorder,
    }


def pack_track(track: Track) -> dict[str, object]:
    """A track of a participant. Sound has no size."""
    return {
        "sid": track.sid,
        "name": track.name,
        "type": track.type.lower(),
        "source": track.source.lower(),
        "muted": track.muted,
        "encrypted": track.encryption not in ("", "NONE"),
        "width": track.width or None,
        "height": track.height or None,
        "codecs": list(_pack_codecs(track)),
    }


def _pack_codecs(track: Track) -> Iterable[dict[str, object]]:
    for codec in track.codecs or (Codec(track.mime_type),):
        yield {
            "codec": codec_name(codec.mime_type),
            "layers": [
                {
                    "quality": layer.quality.lower(),
                    "width": layer.width,
                    "height": layer.height,
                    "bitrate": layer.bitrate,
                    "rid": layer.rid,
                }
                for layer in codec.layers
            ],
        }
