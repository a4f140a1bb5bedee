"""What a service's processes have written to systemd's journal."""

import re

from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host.commands import run_command

# `2026-11-29T15:30:05+0000 host python[90]: text`, of `--output short-iso`.
_LINE = re.compile(r"(\S+) \S+ [^\s:]+: (.*)")
_CURSOR = "-- cursor: "


def read_journal(
    unit: str, *, of_user: bool = False, lines: int | None = None, after: str = ""
) -> tuple[list[str], str]:
    """The last `lines` of the journal of a unit (None: all), or those after a cursor, each with its time in front, as
    the supervisor writes them into a file; and the cursor after them. `of_user`: this user's own systemd runs the unit.
    Raises MachineError where the journal can't be read."""
    which = ["--user-unit" if of_user else "--unit", unit]
    options = [*which, "--output", "short-iso", "--show-cursor", "--quiet", "--no-pager"]
    options += ["--lines", "all" if lines is None else str(lines)] if not after else ["--after-cursor", after]
    done = run_command(Command(("journalctl", *options)))
    if done.code != 0:
        raise MachineError(f"can't read the journal of {unit}: {done.said}", hints=(f"`journalctl {' '.join(which)}`",))
    found, cursor = [], after
    for line in done.out.splitlines():
        if line.startswith(_CURSOR):
            cursor = line.removeprefix(_CURSOR)
        elif match := _LINE.fullmatch(line):
            found.append(f"{match[1]} {match[2]}")
    return found, cursor
