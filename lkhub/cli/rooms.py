"""`lkhub rooms`: the rooms of a running hub."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from lkhub.cli.shared.app import make_app
from lkhub.cli.shared.options import HubSpec, Json, State, require_name
from lkhub.cli.shared.rooms_show import (
    describe_count,
    describe_end,
    describe_source,
    pack_name,
    pack_occupied,
    pack_person,
    pack_room,
    pack_track,
    show_room,
    show_rooms,
)
from lkhub.cli.shared.rooms_watch import watch_rooms
from lkhub.cli.shared.show import err, out, say
from lkhub.cli.shared.show_json import show_json
from lkhub.cli.shared.store import read_application
from lkhub.errors import InputError, UnwellError
from lkhub.hub.applied import require_applied
from lkhub.hub.locate import find_hub
from lkhub.hub.rooms import (
    HubRooms,
    close_room,
    find_participant,
    find_room,
    look_at_room,
    look_at_rooms,
    mute_tracks,
    remove_from_room,
)
from lkhub.livekit.room_calls import create_room, list_rooms
from lkhub.livekit.room_info import Participant, Track
from lkhub.livekit.tokens import show_name
from lkhub.service.presets import Presets, room_config

app = make_app(help="The rooms of a running hub.", no_args_is_help=True)

Room = Annotated[str, typer.Argument(metavar="ROOM", help="The name of an open room, or its SID.")]
Identity = Annotated[
    str, typer.Argument(metavar="IDENTITY", help="The identity of a participant in the room, or its SID.")
]


class Source(StrEnum):
    """What a track shows: LiveKit's words, and the spec's word `screen` for picture and sound of a screen."""

    MICROPHONE = "microphone"
    CAMERA = "camera"
    SCREEN = "screen"
    SCREEN_SHARE = "screen_share"
    SCREEN_SHARE_AUDIO = "screen_share_audio"
    UNKNOWN = "unknown"

    def includes(self, track: Track) -> bool:
        if self is Source.SCREEN:
            return track.source in ("SCREEN_SHARE", "SCREEN_SHARE_AUDIO")
        return track.source == self.upper()


@app.callback()
def _group() -> None:
    """The rooms of a running hub."""


@app.command()
def create(
    room: Annotated[str, typer.Argument(metavar="ROOM", help="The name of the room.")],
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Open a room, so that tokens and join links lead into it.

    Needed where joining opens none: `access: {create: operator}` in the spec. The room gets the settings of its preset
    (`rooms` in the spec). A room that is open stays as it is.
    """
    if not room:
        raise InputError("ROOM is empty")
    require_name("ROOM", room)
    paths = find_hub(spec, state)
    require_applied(paths)
    preset = Presets(read_application(paths).rooms).locate(room).preset
    with HubRooms(paths) as service:
        # LiveKit would give the settings to a room that is open as well, and replace its metadata.
        is_new = preset is not None and not service.ask(list_rooms(room)).rooms
        settings = room_config(preset).as_request() if preset and is_new else {}
        made = service.ask(create_room(room, settings))
    if json:
        show_json({"room": room, "empty_timeout": made.empty_timeout})
    else:
        out.print(room)
        err.print(f"the room is open; it {describe_end(made)}")


@app.command("list")
def list_(spec: HubSpec = None, state: State = None, json: Json = False) -> None:
    """List the open rooms, without those of a verification in progress."""
    with HubRooms(find_hub(spec, state)) as service:
        rooms = look_at_rooms(service)
    if json:
        show_json({"rooms": [pack_room(each) for each in rooms]})
        return
    show_rooms(rooms)
    if not rooms:
        err.print("no room is open")


@app.command()
def show(room: Room, spec: HubSpec = None, state: State = None, json: Json = False) -> None:
    """Show a room: its participants, what they may do, the tracks that they publish."""
    _require_text("ROOM", room)
    with HubRooms(find_hub(spec, state)) as service:
        occupied = look_at_room(service, find_room(service, room))
    if json:
        show_json(pack_occupied(occupied))
    else:
        show_room(occupied)


@app.command()
def close(
    room: Room,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask, however many participants are in it.")] = False,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Close a room, which ends the call of all participants in it. Asks first if there are any."""
    _require_text("ROOM", room)
    paths = find_hub(spec, state)
    with HubRooms(paths) as service:
        occupied = look_at_room(service, find_room(service, room))
        found, count = occupied.room, len(occupied.participants)
        if count and not yes:
            _confirm(f"closing {show_name(found.name)} ends the call of {describe_count(count)}")
        close_room(service, found)
    if json:
        show_json({"room": pack_name(found), "participants": count})
    else:
        out.print(show_name(found.name))
    err.print(f"the room is closed: {describe_count(count)} had to leave" if count else "the room is closed")
    if require_applied(paths).auto_create:
        say("joining opens rooms here, so that a token for this room opens it again until it expires", "note", "cyan")


@app.command()
def remove(room: Room, identity: Identity, spec: HubSpec = None, state: State = None, json: Json = False) -> None:
    """End the call of one participant. Its token still lets it join again, until it expires."""
    _require_text("ROOM", room)
    _require_text("IDENTITY", identity)
    with HubRooms(find_hub(spec, state)) as service:
        occupied = look_at_room(service, find_room(service, room))
        participant = find_participant(occupied, identity)
        remove_from_room(service, occupied.room, participant)
    if json:
        show_json({"room": pack_name(occupied.room), "participant": pack_person(participant)})
    else:
        out.print(show_name(participant.identity))
    err.print("the participant is removed; its token still lets it join again, until it expires")


@app.command()
def mute(
    room: Room,
    identity: Identity,
    source: Annotated[Source | None, typer.Option(help="Which tracks. Default: all of them.")] = None,
    track: Annotated[str, typer.Option(metavar="SID", help="The track with this SID alone.")] = "",
    unmute: Annotated[
        bool,
        typer.Option("--unmute", help="Unmute. LiveKit refuses it unless the spec has room.enable_remote_unmute."),
    ] = False,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Mute what a participant publishes. The participant can unmute it again."""
    _require_text("ROOM", room)
    _require_text("IDENTITY", identity)
    if source and track:
        raise InputError("--source and --track exclude each other")
    with HubRooms(find_hub(spec, state)) as service:
        occupied = look_at_room(service, find_room(service, room))
        participant = find_participant(occupied, identity)
        chosen = _choose_tracks(participant, source, track)
        done = mute_tracks(service, occupied.room, participant, chosen, muted=not unmute)
    if json:
        tracks = [pack_track(each) for each in done]
        show_json({"room": pack_name(occupied.room), "participant": pack_person(participant), "tracks": tracks})
        return
    for each in done:
        out.print(f"{describe_source(each)}  {'muted' if each.muted else 'live'}  {each.sid}")
    if not unmute:
        err.print("the participant can unmute it again")


@app.command()
def watch(
    spec: HubSpec = None,
    state: State = None,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each change.")] = False,
) -> None:
    """Show until Ctrl-C what changes: rooms, the participants in them, the tracks that they publish.

    lkhub asks the SFU once a second, and more rarely if there are many rooms. What begins and ends between two answers
    is not seen; `lkhub logs media -f` shows every join and leave.
    """
    watch_rooms(find_hub(spec, state), as_json=json)


def _require_text(what: str, text: str) -> None:
    """Raise InputError where no room and no participant can have this name. Rooms that others opened may have names
    that lkhub itself would not give."""
    if not text:
        raise InputError(f"{what} is empty")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"{what} is not UTF-8: {show_name(text)}", hints=("`lkhub rooms list --json` has SIDs too",))


def _choose_tracks(participant: Participant, source: Source | None, sid: str) -> list[Track]:
    """The tracks that are meant. Raises UnwellError if there is none, and says what there is."""
    if sid:
        chosen = [each for each in participant.tracks if each.sid == sid]
    else:
        chosen = [each for each in participant.tracks if source is None or source.includes(each)]
    if chosen:
        return chosen
    meant = f"track {show_name(sid)}" if sid else source or "track"
    who = show_name(participant.identity)
    if not participant.tracks:
        raise UnwellError(f"{who} publishes nothing")
    published = ", ".join(f"{describe_source(each)} ({each.sid})" for each in participant.tracks)
    raise UnwellError(f"{who} publishes no {meant}", hints=(f"what it publishes: {published}",))


def _confirm(effect: str) -> None:
    """Ask on the terminal whether this is wanted. Raises UnwellError at any answer but yes."""
    if not sys.stdin.isatty():
        raise InputError(f"{effect}, and there is no terminal on which to confirm it", hints=("`--yes` confirms it",))
    # typer's own question puts a blank into stdout.
    err.print(f"{effect}; close it? [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UnwellError("nothing was changed")
