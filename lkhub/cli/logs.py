"""`lkhub logs`: what the processes have written."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from lkhub.cli.applied import find_hub
from lkhub.cli.options import HubSpec, State
from lkhub.errors import InputError
from lkhub.host.files import explain_os_errors, read_tail
from lkhub.plan.model import PROCESS_NAMES

NAMES = (*PROCESS_NAMES, "hub")

# How soon `-f` shows a new line: at once, as a person sees it.
FOLLOW_SECONDS = 0.2


def logs(
    name: Annotated[
        str, typer.Argument(help="media, relay, serve, edge, or hub: lkhub itself when detached.")
    ] = "media",
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines are written.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many lines, from the end.")] = 50,
    spec: HubSpec = None,
    state: State = None,
) -> None:
    """Show the end of a process's log."""
    if name not in NAMES:
        raise InputError(f"there is no process {name}", hints=(f"one of: {', '.join(NAMES)}",))
    path = find_hub(spec, state).log(name)
    with explain_os_errors(path, "read"):
        if not Path(path).exists():
            raise InputError(f"{name} has written nothing yet", hints=("`lkhub up` starts it",))
        end = Path(path).stat().st_size
        for line in read_tail(path, lines, end=end):
            print(line)
        if follow:
            sys.stdout.flush()
            _follow(path, end)


def _follow(path: str, start: int) -> None:
    """Print what is appended after byte `start`, until Ctrl-C; a rotated log is read again from its start."""
    with open(path, errors="replace") as file:
        file.seek(start)
        try:
            while True:
                if Path(path).stat().st_size < file.tell():
                    file.seek(0)
                if line := file.readline():
                    print(line, end="", flush=True)
                else:
                    time.sleep(FOLLOW_SECONDS)
        except KeyboardInterrupt:
            return
