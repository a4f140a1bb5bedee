"""`lkhub plan`: the bandwidth of rooms."""

import os
from enum import StrEnum
from typing import Annotated

import typer

from lkhub.bandwidth.media import CAMERAS, DEFAULT_RESOLUTION
from lkhub.bandwidth.rate import parse_rate
from lkhub.bandwidth.report import Report
from lkhub.bandwidth.rooms import Rooms
from lkhub.cli.shared.options import Json
from lkhub.cli.shared.show_json import show_json
from lkhub.errors import InputError

# mypy wants the members of an enum written out; these come from a table.
Resolution = StrEnum("Resolution", list(CAMERAS))  # type: ignore[misc]
_DEFAULT = Resolution(DEFAULT_RESOLUTION)

# More than any machine carries.
_MOST = 1_000_000


def plan(
    voice: Annotated[
        int, typer.Option(min=0, max=_MOST, help="How many people in EACH room have a microphone on.")
    ] = 0,
    video: Annotated[
        int,
        typer.Option(
            min=0,
            max=_MOST,
            help="How many people in EACH room have a camera on. They are among those with a microphone: 40 and 12 are "
            "40 people.",
        ),
    ] = 0,
    rooms: Annotated[int, typer.Option(min=1, max=_MOST, help="How many such rooms there are at once.")] = 1,
    resolution: Annotated[Resolution, typer.Option(help="What a camera publishes.")] = _DEFAULT,
    uplink: Annotated[
        str | None,
        typer.Option(metavar="RATE", help="What this machine can send, in bits per second: 40M, 1G. Not measured."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what bandwidth rooms need, and with --uplink whether this machine's line carries them.

    A calculation: it asks neither a hub nor the network, and shows what it assumes. Media forwards each track to all
    others in the room, so what it sends grows with the square of the people in a room.
    """
    if not voice and not video:
        raise InputError(
            "a bandwidth plan needs people",
            hints=("`lkhub plan --voice 8 --video 4 --rooms 5`: 8 people in each room",),
        )
    try:
        bits = None if uplink is None else parse_rate(uplink)
    except ValueError as error:
        raise InputError(f"--uplink: {error}") from None
    report = Report(Rooms(voice, video, rooms, resolution), bits, _count_cores())
    if json:
        show_json(report.as_json())
    else:
        print(report.as_text(), end="")


def _count_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
