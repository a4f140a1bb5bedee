"""The rooms of the running hub, asked from its SFU."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TypeVar

from lkhub.errors import MachineError, UnwellError
from lkhub.host.keyfile import load_keys
from lkhub.hub.applied import require_applied
from lkhub.hub.running import ask_running
from lkhub.livekit.room_calls import (
    Call,
    delete_room,
    list_participants,
    list_rooms,
    mute_track,
    remove_participant,
)
from lkhub.livekit.room_changes import Occupied
from lkhub.livekit.room_info import Participant, Room, Track
from lkhub.livekit.rooms import NoAnswerError, RoomService
from lkhub.livekit.tokens import is_probe_room, show_name
from lkhub.plan.paths import StatePaths
from lkhub.wire.exchange import Ping

T = TypeVar("T")


class HubRooms(RoomService):
    """The rooms of the hub in this state directory. MachineError before the first `up`."""

    def __init__(self, paths: StatePaths) -> None:
        super().__init__(require_applied(paths).urls.local_media, *next(iter(load_keys(paths.keys).items())))
        self._paths = paths

    def ask(self, call: Call[T]) -> T:
        """As RoomService. Raises UnwellError where there is no answer since the hub does not run."""
        try:
            return super().ask(call)
        except NoAnswerError:
            ask_running(self._paths, Ping())
            raise


def look_at_rooms(service: RoomService) -> tuple[Occupied, ...]:
    """All open rooms by name, each with its participants, but without those of a verification. A room that closes
    meanwhile is there without participants."""
    rooms = sorted(service.ask(list_rooms()).rooms, key=lambda room: room.name)
    return tuple(look_at_room(service, room) for room in rooms if not is_probe_room(room.name))


def look_at_room(service: RoomService, room: Room) -> Occupied:
    """A room with its participants, in the order in which they joined."""
    participants = service.ask(list_participants(room.name)).participants
    return Occupied(room, tuple(sorted(participants, key=lambda each: (each.since, each.sid))))


def find_room(service: RoomService, given: str) -> Room:
    """The open room of this name, else the one with this SID. Raises UnwellError with a near match."""
    if named := service.ask(list_rooms(given)).rooms:
        return named[0]
    rooms = service.ask(list_rooms()).rooms
    for room in rooms:
        if room.sid == given:
            return room
    hints = ("`lkhub rooms list` shows the open rooms",) if rooms else ("no other room is open either",)
    raise UnwellError(f"no room {show_name(given)} is open", hints=_name_near(given, [r.name for r in rooms]) or hints)


def find_participant(occupied: Occupied, given: str) -> Participant:
    """The participant with this identity, else the one with this SID. Raises UnwellError with a near match."""
    for key in ("identity", "sid"):
        for participant in occupied.participants:
            if getattr(participant, key) == given:
                return participant
    identities = [each.identity for each in occupied.participants]
    hints = (f"in it: {list_names(identities)}" if identities else "nobody is in it",)
    room = show_name(occupied.room.name)
    raise UnwellError(
        f"no participant {show_name(given)} is in room {room}", hints=_name_near(given, identities) or hints
    )


def close_room(service: RoomService, room: Room) -> None:
    """Close a room. Raises UnwellError where it is not open any more."""
    try:
        service.ask(delete_room(room.name))
    except MachineError as error:
        if error.code != "not_found":
            raise
        raise UnwellError(f"room {show_name(room.name)} has closed meanwhile") from error


def remove_from_room(service: RoomService, room: Room, participant: Participant) -> None:
    """End the call of a participant. Raises UnwellError where it has left."""
    with _explaining_refusals(participant):
        service.ask(remove_participant(room.name, participant.identity))


def mute_tracks(
    service: RoomService, room: Room, participant: Participant, tracks: Iterable[Track], *, muted: bool
) -> list[Track]:
    """Mute tracks of a participant, or unmute them. Returns them as they are now. Raises UnwellError where none of them
    is published any more, and where LiveKit does not unmute."""
    with _explaining_refusals(participant):
        answers = [service.ask(mute_track(room.name, participant.identity, each.sid, muted)) for each in tracks]
    done = [answer.track for answer in answers if answer.track]
    if not done:
        raise UnwellError(f"{show_name(participant.identity)} has meanwhile stopped publishing this")
    return done


@contextmanager
def _explaining_refusals(participant: Participant) -> Iterator[None]:
    """Raises UnwellError in place of what LiveKit says about a participant that has left, or that it does not
    unmute."""
    try:
        yield
    except MachineError as error:
        who = show_name(participant.identity)
        match error.code:
            case "failed_precondition":
                raise UnwellError(
                    f"LiveKit refuses to unmute {who}: only the participant can do that",
                    hints=(
                        "to allow it, write `livekit: {room: {enable_remote_unmute: true}}` in the spec; `lkhub up` "
                        "applies it as soon as nobody is in a call",
                    ),
                ) from error
            case "not_found" | "unavailable":
                raise UnwellError(f"{who} has left meanwhile") from error
        raise


# As many names as fit into a line or two.
MAX_LISTED = 8


def list_names(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(map(show_name, names[:MAX_LISTED])) + more


def _name_near(given: str, names: Iterable[str]) -> tuple[str, ...]:
    """A hint with the name that is the most like the given one, if there is such a name."""
    folded = {name.casefold(): name for name in names}
    near = get_close_matches(given.casefold(), folded, n=1)
    return (f"did you mean {show_name(folded[near[0]])}?",) if near else ()
