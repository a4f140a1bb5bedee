"""`lkhub logs`: what the processes have written."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from lkhub.cli.shared.options import HubSpec, State
from lkhub.cli.shared.show import out
from lkhub.errors import ANOTHER, START, InputError
from lkhub.host.files import explain_os_errors, read_tail
from lkhub.host.journal import read_journal
from lkhub.hub.locate import find_hub, find_service
from lkhub.log_lines import Entry, read_entry
from lkhub.plan.paths import StatePaths
from lkhub.plan.processes import PROCESS_NAMES
from lkhub.plan.service import UNIT, Service, name_unit

# How soon `-f` shows a new line: for a person, at once.
FOLLOW_SECONDS = 0.2

# How much of each log is read: of a busy media only few lines matter to a person, and its lines are long.
LOOKED_AT_BYTES = 2 * 1024 * 1024

JOURNAL_LINES = 10_000

# Each look starts a program.
JOURNAL_SECONDS = 1.0

_COLOURS = {"info": "", "warning": "yellow", "error": "bold red"}


def logs(
    name: Annotated[
        str | None,
        typer.Argument(
            help="media, relay, serve, edge, agent-NAME, site-NAME, or hub: lkhub itself. Default: all, by time."
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines are written.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many lines, from the end.")] = 50,
    raw: Annotated[bool, typer.Option("--raw", help="What the process NAME wrote, as it is: for programs.")] = False,
    spec: HubSpec = None,
    state: State = None,
) -> None:
    """Show what happened: when, in which process, and what.

    What tells a person nothing is left out, and so is lkhub's own verification. --raw shows all of it. Of a hub that
    `lkhub install` has made a service, systemd's journal has what lkhub itself says.
    """
    paths = find_hub(spec, state)
    names = _list_names(paths)
    if name is not None and name not in names:
        raise InputError(f"there is no process {name}", hints=(f"one of: {', '.join(names)}",))
    if raw and name is None:
        raise InputError("--raw needs the name of a process", hints=(f"one of: {', '.join(names)}",))
    show_logs(paths, [name] if name else names, follow=follow, lines=lines, raw=raw)


def show_logs(paths: StatePaths, asked: Sequence[str], *, follow: bool, lines: int, raw: bool = False) -> None:
    """Show what these processes have written. `raw`: that of one process, as it is. Raises HubError where that is
    nothing."""
    names = _list_names(paths)
    with explain_os_errors(paths.logs, "read"):
        written = [each for each in names if Path(paths.log(each)).exists()]
    service = find_service(paths)
    units = _list_units(paths)
    if not set(asked) & {*written, *units}:
        hints = ("`lkhub status` shows whether this hub has such a process",) if written else (START, ANOTHER)
        what = "the hub" if len(asked) == len(names) else " and ".join(asked)
        raise InputError(f"{what} has written nothing yet in {paths.root}", hints=hints)
    tails = {
        each: Journal(units[each], service) if service and each in units else Tail(paths.log(each)) for each in asked
    }
    if raw:
        show_raw([(each, line) for each, tail in tails.items() for line in tail.read_last(lines)])
    else:
        read = [entry for each, tail in tails.items() for entry in read_entries(each, tail.read_last(None))]
        show_entries(sort_by_time(read)[-lines:])
    if follow:
        sys.stdout.flush()
        _follow(tails, show_raw if raw else _show_lines)


def _list_names(paths: StatePaths) -> list[str]:
    """The names of the processes that a hub may have, and of all others that have a log or a unit."""
    with explain_os_errors(paths.logs, "read"):
        written = sorted({*_list_units(paths), *list_written(paths, "*.log")})
    return [*PROCESS_NAMES, *(name for name in written if name not in (*PROCESS_NAMES, "hub")), "hub"]


def list_written(paths: StatePaths, pattern: str) -> Iterator[str]:
    """The names of processes with a log. Raises OSError. A file whose name could not be one is none: the user of a hub
    puts any file there, and root reads their names."""
    return (file.stem for file in Path(paths.logs).glob(pattern) if file.name.isprintable())


def _list_units(paths: StatePaths) -> dict[str, str]:
    """The units of a hub that is a service by the names of their processes."""
    service = find_service(paths)
    units = {"hub": UNIT} if service else {}
    if service and os.path.isdir(paths.for_agents):
        # Imported here: most hubs have no agent, and psutil takes 20 ms.
        from lkhub.hub.agent_units import list_given

        units |= {each: name_unit(each) for each in list_given(paths)}
    return units


class Tail:
    """A log from its end on. It may not be there yet, and rotation empties it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.at = Path(path).stat().st_size if Path(path).exists() else 0

    def read_last(self, lines: int | None) -> list[str]:
        """The last lines of the log; all that are read where `lines` is None."""
        return read_tail(self.path, lines or sys.maxsize, end=self.at, limit=LOOKED_AT_BYTES)

    def read_new(self) -> list[str]:
        """The complete lines that were written since the last call."""
        with explain_os_errors(self.path, "read"):
            if not Path(self.path).exists():
                return []
            if Path(self.path).stat().st_size < self.at:
                self.at = 0
            with open(self.path, "rb") as file:
                file.seek(self.at)
                text, newline, _ = file.read().rpartition(b"\n")
        self.at += len(text) + len(newline)
        return text.decode(errors="replace").split("\n") if newline else []


class Journal:
    """The journal of a unit of a hub that is a service, from its end on."""

    def __init__(self, unit: str, service: Service) -> None:
        self._unit = unit
        self._of_user = service.of_user
        self._cursor = ""
        self._read = 0.0

    def read_last(self, lines: int | None) -> list[str]:
        """As of a Tail."""
        # A person looks at the end of it, and it may be of years.
        found, self._cursor = read_journal(self._unit, of_user=self._of_user, lines=lines or JOURNAL_LINES)
        return found

    def read_new(self) -> list[str]:
        """As of a Tail."""
        if time.monotonic() - self._read < JOURNAL_SECONDS:
            return []
        found, self._cursor = read_journal(self._unit, of_user=self._of_user, after=self._cursor)
        self._read = time.monotonic()
        return found


def read_entries(name: str, lines: Iterable[str]) -> Iterator[Entry]:
    """The entries for people from the lines of one log. A line without a time gets the time of the line before."""
    at: float | None = None
    for line in lines:
        if entry := read_entry(name, line):
            at = entry.at if entry.at is not None else at
            yield replace(entry, at=at)


def sort_by_time(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.at or 0.0)


def show_entries(entries: Iterable[Entry]) -> None:
    """`23:26:24  media  ann joins lobby`, with the day where that is not today."""
    today = time.strftime("%Y-%m-%d")
    for entry in entries:
        at = time.localtime(entry.at) if entry.at else None
        day = time.strftime("%Y-%m-%d ", at) if at and time.strftime("%Y-%m-%d", at) != today else ""
        clock = time.strftime("%H:%M:%S", at) if at else " " * 8
        text = entry.text if entry.level == "info" else f"{entry.level}: {entry.text}"
        out.print(Text.assemble((f"{day}{clock}  {entry.process:5}  ", "dim"), (text, _COLOURS[entry.level])))


def show_raw(lines: Iterable[tuple[str, str]]) -> None:
    for _, line in lines:
        print(line, flush=True)


def _show_lines(lines: Iterable[tuple[str, str]]) -> None:
    by_name: dict[str, list[str]] = {}
    for name, line in lines:
        by_name.setdefault(name, []).append(line)
    now = time.time()
    found = [entry for name, each in by_name.items() for entry in read_entries(name, each)]
    show_entries(sort_by_time(replace(entry, at=entry.at or now) for entry in found))
    sys.stdout.flush()


def _follow(tails: Mapping[str, Tail | Journal], show: Callable[[list[tuple[str, str]]], None]) -> None:
    """Show what is appended, until Ctrl-C."""
    try:
        while True:
            if new := [(name, line) for name, tail in tails.items() for line in tail.read_new()]:
                show(new)
            else:
                time.sleep(FOLLOW_SECONDS)
    except KeyboardInterrupt:
        return
