"""`lkhub render`: the files that follow from a spec, to read or to use elsewhere."""

import difflib
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lkhub.cli.options import Spec, State, find_spec, find_state
from lkhub.cli.show import err
from lkhub.errors import EXIT_UNWELL
from lkhub.host.files import explain_os_errors, read_text, write_private
from lkhub.prepare import prepare_hub
from lkhub.render.files import RenderedFile
from lkhub.render.livekit import render_livekit


class Target(StrEnum):
    """What can be rendered."""

    livekit = "livekit"


def render(
    target: Annotated[Target, typer.Argument(help="livekit: livekit.yaml.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write to.")],
    diff: Annotated[
        bool,
        typer.Option("--diff", help="Show what would change in DIR and write nothing; exits 1 where something would."),
    ] = False,
    spec: Spec = None,
    state: State = None,
) -> None:
    """Write the files of a target into a folder.

    They hold no secrets: those stay in the state directory, which the files name.
    """
    hub = prepare_hub(find_spec(spec), find_state(state), os.environ)
    files = [{Target.livekit: render_livekit}[target](hub.plan)]
    if diff:
        if _show_difference(files, output):
            raise typer.Exit(EXIT_UNWELL)
        return
    with explain_os_errors(output, "create"):
        output.mkdir(parents=True, exist_ok=True)
    for file in files:
        path = str(output / file.name)
        changed = write_private(path, file.text, file.mode)
        err.print(f"{path}: {'written' if changed else 'unchanged'}")


def _show_difference(files: list[RenderedFile], folder: Path) -> bool:
    """Print a unified diff of what is in the folder against what would be; whether there is one."""
    differs = False
    for file in files:
        path = str(folder / file.name)
        old = (read_text(path) or "").splitlines(keepends=True)
        for line in difflib.unified_diff(old, file.text.splitlines(keepends=True), path, f"{path} (rendered)"):
            print(line, end="")
            differs = True
    return differs
