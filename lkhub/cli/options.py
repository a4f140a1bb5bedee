"""Options that commands share, and what they mean."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import platformdirs
import typer

from lkhub.errors import InputError
from lkhub.plan.paths import StatePaths
from lkhub.tokens import MAX_NAME, find_unseen

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
        help="Where the hub keeps its keys, files and logs. Default: $LKHUB_STATE, else the system's place for it.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]

DEFAULT_SPEC = "hub.yaml"


def find_spec(given: Path | None) -> str | None:
    """The spec to use: the one that was given, `hub.yaml` here, or None for the defaults."""
    if given is not None:
        return str(given)
    return DEFAULT_SPEC if os.path.exists(DEFAULT_SPEC) else None


def find_state(given: Path | None) -> str:
    """The state directory, absolute."""
    chosen = given or os.environ.get("LKHUB_STATE")
    if not chosen:
        chosen = "/var/lib/lkhub" if os.geteuid() == 0 else platformdirs.user_state_dir("lkhub")
    return os.path.abspath(chosen)


def name_state(paths: StatePaths) -> str:
    """What a command needs to be about this hub: ` --state DIR`, or "" where the default leads there."""
    return "" if find_state(None) == paths.root else f" --state {shlex.quote(paths.root)}"


def require_name(option: str, text: str) -> None:
    """Raise InputError where `text` can't be the name of a room or a participant, or must not be."""
    if len(text) > MAX_NAME:
        raise InputError(f"{option} has {len(text)} characters; LiveKit takes {MAX_NAME}")
    if unseen := find_unseen(text):
        raise InputError(f"{option} has {unseen}, which can't be seen", hints=("write the name without it",))


def find_paths(given: Path | None) -> StatePaths:
    return StatePaths(find_state(given))
