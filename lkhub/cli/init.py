"""`lkhub init`: a first hub.yaml, with every key explained."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lkhub.cli.options import DEFAULT_SPEC, Spec
from lkhub.cli.show import err
from lkhub.errors import InputError
from lkhub.host.files import explain_os_errors
from lkhub.render.spec import render_spec
from lkhub.spec.load import load_spec


class Reach(StrEnum):
    """Who can reach the hub."""

    local = "local"
    lan = "lan"


def init(
    reach: Annotated[Reach, typer.Option(help="local: this machine. lan: this network.")] = Reach.local,
    name: Annotated[str, typer.Option(help="Name of the hub.")] = "hub",
    force: Annotated[bool, typer.Option("--force", help="Overwrite a spec that is there.")] = False,
    spec: Spec = None,
) -> None:
    """Write a commented hub.yaml with every key and its default."""
    path = spec or Path(DEFAULT_SPEC)
    if path.exists() and not force:
        raise InputError(f"{path} is there already", hints=("--force overwrites it",))
    text = render_spec(reach.value, name)
    load_spec(text.encode(), str(path)).require_sound()
    with explain_os_errors(path, "write"):
        path.write_text(text)
    err.print(f"wrote {path}; `lkhub up` makes it run")
