"""`lkhub rooms watch`: looks at the rooms again and again, and shows what has changed."""

import json
import sys
import time
from collections.abc import Sequence

from rich.text import Text

from lkhub.cli.shared.rooms_show import (
    describe_count,
    describe_source,
    pack_name,
    pack_occupied,
    pack_person,
    pack_track,
)
from lkhub.cli.shared.show import err, out, say, show_hints
from lkhub.errors import HubError
from lkhub.hub.rooms import HubRooms, look_at_rooms
from lkhub.livekit.room_changes import Change, Occupied, find_changes
from lkhub.livekit.tokens import show_name
from lkhub.plan.paths import StatePaths

# Soon enough for a person who watches.
LOOK_SECONDS = 1.0

# A look asks for each room, and takes longer the more rooms there are. The SFU has to do other things too.
BUSY_SHARE = 0.1

MISSED = (
    f"lkhub asks every {LOOK_SECONDS:g} s, and more rarely with many rooms: what begins and ends in between is not "
    "seen, and a time is that of the answer; `lkhub logs media -f` shows every join and leave"
)


def watch_rooms(paths: StatePaths, *, as_json: bool) -> None:
    """Show what changes, until Ctrl-C. Raises HubError where the hub does not answer at the start. Later that is
    shown as a change, since a hub that restarts answers again."""
    rooms, took = _look(paths)
    if as_json:
        _write_line("watching", time.time(), rooms=[pack_occupied(each) for each in rooms])
    count = describe_count(sum(len(each.participants) for each in rooms))
    err.print(f"{len(rooms)} {'room' if len(rooms) == 1 else 'rooms'}, {count}; Ctrl-C ends")
    say(MISSED, "note", "cyan")
    answers = True
    try:
        while True:
            time.sleep(max(LOOK_SECONDS, took / BUSY_SHARE))
            try:
                later, took = _look(paths)
            except HubError as error:
                if answers:
                    _show_silence(error, as_json)
                answers = False
                continue
            if not answers:
                _show_return(as_json)
            answers = True
            at = time.time()
            for change in find_changes(rooms, later):
                show_change(change, at, as_json=as_json)
            rooms = later
    except KeyboardInterrupt:
        return


def _look(paths: StatePaths) -> tuple[Sequence[Occupied], float]:
    """The rooms, and how many seconds the look took. The address and the keys are read for each look: a change of the
    spec may have changed them."""
    began = time.monotonic()
    with HubRooms(paths) as service:
        rooms = look_at_rooms(service)
    return rooms, time.monotonic() - began


def show_change(change: Change, at: float, *, as_json: bool) -> None:
    """Show one change, which was seen at the epoch time `at`."""
    if as_json:
        _write_line(change.event, at, **_pack_change(change))
        return
    clock = time.strftime("%H:%M:%S", time.localtime(at))
    out.print(Text.assemble((f"{clock}  ", "dim"), describe_change(change)))
    sys.stdout.flush()


def describe_change(change: Change) -> str:
    """`ann joins lobby`, in the words of `lkhub logs` where it has them."""
    room = show_name(change.room.name)
    who = show_name(change.participant.identity) if change.participant else ""
    what = describe_source(change.track) if change.track else ""
    match change.event:
        case "room_started":
            return f"{room} is open"
        case "room_finished":
            return f"{room} is closed"
        case "participant_connecting":
            return f"{who} is connecting to {room}"
        case "participant_joined":
            return f"{who} joins {room}"
        case "participant_connection_aborted":
            return f"{who} did not get into {room}: its media never connected"
        case "participant_left":
            return f"{who} leaves {room}"
        case "track_published":
            return f"{who} publishes {what} in {room}"
        case "track_unpublished":
            return f"{who} no longer publishes {what} in {room}"
        case "track_muted":
            return f"the {what} of {who} is muted in {room}"
        case "track_unmuted":
            return f"the {what} of {who} is no longer muted in {room}"


def _pack_change(change: Change) -> dict[str, object]:
    packed: dict[str, object] = {"room": pack_name(change.room)}
    if who := change.participant:
        packed["participant"] = pack_person(who)
    if change.track:
        packed["track"] = pack_track(change.track)
    return packed


def _show_silence(error: HubError, as_json: bool) -> None:
    if as_json:
        _write_line("connection_lost", time.time(), message=error.message)
    say(f"{error.message}; what changes meanwhile is shown when it answers again", "warning", "yellow")
    show_hints(error.hints)


def _show_return(as_json: bool) -> None:
    if as_json:
        _write_line("connection_restored", time.time())
    say("LiveKit answers again", "note", "cyan")


def _write_line(event: str, at: float, **more: object) -> None:
    sys.stdout.write(json.dumps({"at": at, "event": event, **more}) + "\n")
    sys.stdout.flush()
