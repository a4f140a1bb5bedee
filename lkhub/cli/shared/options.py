"""Options that commands share, and what they mean."""

from pathlib import Path
from typing import Annotated

import typer

from lkhub.errors import InputError
from lkhub.livekit.links import find_unlinkable
from lkhub.livekit.tokens import MAX_NAME_BYTES, count_bytes, find_unseen
from lkhub.spec.duration import Duration, parse_lifetime

Spec = Annotated[
    Path | None,
    typer.Option(
        "--spec",
        metavar="FILE",
        help="The spec. Default: hub.yaml in this folder; without one, a hub for this machine only.",
    ),
]
HubSpec = Annotated[
    Path | None,
    typer.Option("--spec", metavar="FILE", help="Do nothing and exit 2 if the hub runs by another spec than FILE."),
]
State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        readable=False,  # whoever may not read it is told why, as where $LKHUB_STATE names it
        help="Where the hub keeps its keys, files and logs. Default: $LKHUB_STATE, else the system's place for it.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def require_name(option: str, text: str) -> None:
    """Raise InputError where `text` can't be the name of a room or a participant, or must not be."""
    if (size := count_bytes(text)) > MAX_NAME_BYTES:
        raise InputError(f"{option} has {size} bytes; LiveKit takes {MAX_NAME_BYTES}")
    if unseen := find_unseen(text):
        raise InputError(f"{option} has {unseen}, which can't be seen", hints=("write the name without it",))


def require_linkable(option: str, room: str) -> None:
    """Raise InputError where a link would not lead into the room of this name."""
    if problem := find_unlinkable(room):
        raise InputError(f"{option} {problem}", hints=("name another room",))


def parse_ttl(text: str) -> Duration:
    """The value of `--ttl`. Raises InputError."""
    try:
        return parse_lifetime(text)
    except ValueError as error:
        raise InputError(f"--ttl: {error}") from None
