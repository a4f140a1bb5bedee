"""The methods of LiveKit's services for rooms that lkhub calls: what is asked, and how the answer is read. Pure.

The services are defined in livekit/protocol, protobufs/livekit_room.proto and livekit_agent_dispatch.proto.
`lkhub.livekit.rooms` has the client.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

from msgspec import Struct

from lkhub.errors import MachineError
from lkhub.livekit.room_config import AgentDispatch
from lkhub.livekit.room_info import Participant, Room, Track
from lkhub.shown import quote
from lkhub.source.json_text import Json, parse_json
from lkhub.source.typed import ShapeError, pack, unpack

T = TypeVar("T")

# An answer about one room or track has some hundred bytes and perhaps metadata. A list has 1.5 kB for each room or
# track.
MAX_ANSWER_BYTES = 1024 * 1024
MAX_LIST_BYTES = 64 * 1024 * 1024


class Nothing(Struct, frozen=True):
    """An answer without fields."""


class Rooms(Struct, frozen=True):
    """The answer of ListRooms."""

    rooms: tuple[Room, ...] = ()


class Participants(Struct, frozen=True):
    """The answer of ListParticipants."""

    participants: tuple[Participant, ...] = ()


class MutedTrack(Struct, frozen=True):
    """The answer of MutePublishedTrack. `track` is None if the participant publishes no such track."""

    track: Track | None = None


class Dispatches(Struct, frozen=True):
    """The answer of ListDispatch."""

    agent_dispatches: tuple[AgentDispatch, ...] = ()


@dataclass(frozen=True)
class Call(Generic[T]):
    """A call of a method: the video grant that it needs, the body of the request, the class of the answer and how long
    the answer may be."""

    method: str
    video: Mapping[str, Json]
    body: Mapping[str, Json]
    answer: type[T]
    max_bytes: int = MAX_ANSWER_BYTES
    service: str = "RoomService"


def create_room(room: str, settings: Mapping[str, Json] = MappingProxyType({})) -> Call[Room]:
    """Open a room, or change an open one. `settings` are further fields of CreateRoomRequest."""
    return Call("CreateRoom", {"roomCreate": True}, {"name": room, **settings}, Room)


def list_rooms(*names: str) -> Call[Rooms]:
    """The open rooms of these names; all open rooms without a name."""
    return Call("ListRooms", {"roomList": True}, {"names": names} if names else {}, Rooms, MAX_LIST_BYTES)


def delete_room(room: str) -> Call[Nothing]:
    """Close a room, which ends the session of every participant in it."""
    return Call("DeleteRoom", {"roomCreate": True}, {"room": room}, Nothing)


def list_participants(room: str) -> Call[Participants]:
    """The participants of a room. A room that is not open has none, and is no error."""
    return Call("ListParticipants", _administer(room), {"room": room}, Participants, MAX_LIST_BYTES)


def remove_participant(room: str, identity: str) -> Call[Nothing]:
    """End the session of a participant. The token that it came with is as good as before."""
    return Call("RemoveParticipant", _administer(room), {"room": room, "identity": identity}, Nothing)


def mute_track(room: str, identity: str, track: str, muted: bool) -> Call[MutedTrack]:
    """Mute a track, given by its SID, or unmute it: LiveKit refuses that with `failed_precondition`, unless
    `room.enable_remote_unmute` is set. For a participant that is not there it answers `unavailable` after 3 s."""
    body: dict[str, Json] = {"room": room, "identity": identity, "track_sid": track, "muted": muted}
    return Call("MutePublishedTrack", _administer(room), body, MutedTrack)


def update_metadata(room: str, metadata: str) -> Call[Room]:
    """Change the metadata of an open room."""
    return Call("UpdateRoomMetadata", _administer(room), {"room": room, "metadata": metadata}, Room)


def list_dispatches(room: str) -> Call[Dispatches]:
    """The agents that were called into an open room."""
    return Call("ListDispatch", _administer(room), {"room": room}, Dispatches, service=_DISPATCHES)


def create_dispatch(room: str, agent: AgentDispatch) -> Call[Nothing]:
    """Call an agent into a room."""
    return Call("CreateDispatch", _administer(room), {"room": room, **pack(agent)}, Nothing, service=_DISPATCHES)


_DISPATCHES = "AgentDispatchService"


def _administer(room: str) -> dict[str, Json]:
    return {"roomAdmin": True, "room": room}


class _Refusal(Struct, frozen=True):
    """An error of twirp."""

    code: str
    msg: str = ""


# What is wrong and what to do, for each code of twirp's that LiveKit was seen to answer with.
_REFUSALS: Mapping[str, tuple[str, str]] = {
    "unauthenticated": (
        "LiveKit at {base} does not accept the key of this hub",
        "`lkhub up` makes media take the keys of this hub, as soon as nobody is in a call",
    ),
    "bad_route": (
        "what answers at {base} does not know {method}",
        "`lkhub status` shows whether media runs; another program may have its port",
    ),
    "unavailable": (
        "no participant answered {method} within LiveKit's time",
        "it may just have left: `lkhub rooms list` shows who is there",
    ),
    "internal": ("LiveKit failed at {method}", "`lkhub logs media` shows what it says about that"),
}


def read_answer(call: Call[T], base: str, status: int, body: bytes) -> T:
    """The answer to a call. Raises MachineError where LiveKit at `base` refuses, with twirp's error code as its reason
    code, and where something else answers."""
    try:
        said = parse_json(body)
        if status == 200:
            return unpack(call.answer, said)
        refusal = unpack(_Refusal, said)
    except ValueError as error:
        if status == 200:
            why = str(error) if isinstance(error, ShapeError) else "it is no complete JSON"
            raise MachineError(f"the answer to {call.method} at {base} can't be read: {why}") from error
        refusal = _Refusal({401: "unauthenticated", 404: "bad_route", 500: "internal"}.get(status, ""))
    reason = f": {quote(refusal.msg)}" if refusal.msg else ""
    form, hint = _REFUSALS.get(refusal.code, ("LiveKit refuses {method}", ""))
    reason = reason or ("" if refusal.code in _REFUSALS else f": status {status}")
    message = form.format(base=base, method=call.method) + reason
    raise MachineError(message, hints=(hint,) if hint else (), code=refusal.code)
