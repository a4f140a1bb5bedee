"""What a person sees. stdout is data, stderr is talk; meaning survives without colour."""

import errno
import os
import re
import shlex
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from lkhub.cli.shared.output import drop_output
from lkhub.errors import ANOTHER, START, HubError
from lkhub.hub.locate import DEFAULT_SPEC, find_paths, find_typed, name_for_machine
from lkhub.plan.paths import StatePaths
from lkhub.shown import QUOTED, tame, tame_line

if TYPE_CHECKING:
    from lkhub.checks.paths import PathResult
    from lkhub.findings.finding import Fix
    from lkhub.findings.fold import Folded
    from lkhub.hub.status import Verified
    from lkhub.plan.model import Sightings
    from lkhub.supervise.child import Child
    from lkhub.wire.control import ProcessReport


class _TamedConsole(Console):
    """A console to which texts of other programs can be printed. A router, a web server that is not the hub's or a
    certificate may have any text, and rich passes its escape sequences to the terminal."""

    def print(self, *objects: Any, **options: Any) -> None:
        for each in objects:
            if isinstance(each, Text):
                each.plain = tame(each.plain)
        super().print(*(tame(each) if isinstance(each, str) else each for each in objects), **options)

    def on_broken_pipe(self) -> None:
        """The program that read our output has ended. This raises an OSError, as a full disk does: rich would end this
        program, and with it a hub that it runs. What is printed later is lost."""
        self.quiet = True
        drop_output(self.file)
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


# Never wrapped or coloured by a guess: piped output must arrive unchanged.
out = _TamedConsole(highlight=False, soft_wrap=True, markup=False)
err = _TamedConsole(stderr=True, highlight=False, soft_wrap=True, markup=False)


def is_screen(console: Console) -> bool:
    """Whether a line can be drawn over an earlier one. With FORCE_COLOR, rich takes even a log for a terminal."""
    return console.is_terminal and console.file.isatty()


_COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def show_error(error: HubError) -> None:
    say(error.message, "error", "bold red")
    show_hints(error.hints)


def show_hints(hints: Iterable[str]) -> None:
    given = tuple(hints)
    for number, hint in enumerate((*_hint_at_machine(given, sys.argv[1:]), *given)):
        if number == 0:
            err.print()
        say(hint, "hint", "bold cyan")


def _hint_at_machine(hints: Sequence[str], arguments: Sequence[str]) -> Iterator[str]:
    """Where the hints are those of an error about a hub that is not up: the command line for the hub that is the
    machine's service. A user without root finds none but the user's own."""
    if any(hint.startswith((START, ANOTHER)) for hint in hints):
        typed = shlex.join(_leave_out_hub(arguments))
        if command := name_for_machine(_find_asked(arguments), typed):
            yield f"`{command}` is about the hub that is this machine's service"


def _leave_out_hub(arguments: Sequence[str]) -> Iterator[str]:
    """The arguments without the options that say which hub is meant."""
    left = iter(arguments)
    for argument in left:
        if argument in _HUB:
            next(left, None)
        elif argument.partition("=")[0] not in _HUB:
            yield argument


# The options that say which hub is meant, each with a value (lkhub/cli/shared/options.py).
_HUB = ("--state", "--spec")

# A command line in a hint, which may begin with a command of another program.
_TYPED = re.compile(r"`((?:[^`]* && )?lkhub [^`]+)`")

# The commands that take a spec from this folder. The others are about a hub that has one.
_TAKES_SPEC = ("init", "up", "render", "firewall", "install", "restore")


def name_hub(hint: str, arguments: Sequence[str] | None = None) -> str:
    """The hint, with its commands as they are typed about the hub that the arguments of this command line name by
    `--state`: `lkhub install` in place of `lkhub up` for a service, which refuses that, `lkhub up --dev` for a hub that
    was started so, and `lkhub up --spec FILE` for a spec that was named, or that the hub has and this folder has not.
    Typed as they were, they would be refused, or act on another hub."""
    if not _TYPED.search(hint):
        return hint
    arguments = sys.argv[1:] if arguments is None else arguments
    paths = _find_asked(arguments)
    typed = find_typed(paths, _find_meant(arguments, paths))
    return _TYPED.sub(lambda found: f"`{typed.type(found[1])}`", hint)


def type_again(*more: str) -> str:
    """The command line as it was typed, with more arguments."""
    return shlex.join(("lkhub", *sys.argv[1:], *more))


def _find_asked(arguments: Sequence[str]) -> StatePaths:
    """The hub that the arguments of a command line are about."""
    given = _read_option("--state", arguments)
    return find_paths(Path(given) if given else None)


def _find_meant(arguments: Sequence[str], paths: StatePaths) -> str | None:
    """The spec that the arguments of a command line mean; None for that by which the hub runs."""
    if "--dev" in arguments:
        return paths.dev_spec
    here = DEFAULT_SPEC if arguments[:1] and arguments[0] in _TAKES_SPEC and os.path.exists(DEFAULT_SPEC) else None
    return _read_option("--spec", arguments) or here


def _read_option(option: str, arguments: Sequence[str]) -> str:
    """The value of an option; "" where it is not there."""
    for given, after in zip(arguments, (*arguments[1:], ""), strict=False):
        name, _, value = given.partition("=")
        if name == option and (value or after):
            return value or after
    return ""


def say(text: str, label: str = "", colour: str = "", *, indent: str = "") -> None:
    """`label: text` on stderr, with its commands as `name_hub` types them. On a terminal it wraps between words, and a
    long command or address stays whole."""
    text = name_hub(text)
    before = f"{label}: " if label else ""
    lines = f"{indent}{before}{text}".split("\n")
    if err.is_terminal:
        lines = [part for line in lines for part in _wrap(line, err.width)]
    shown = Text("\n".join(lines))
    if label:
        shown.stylize(colour, len(indent), len(indent) + len(label))
    err.print(shown)


def _wrap(line: str, width: int) -> list[str]:
    """A line in parts of at most `width` cells, the later ones two cells further in."""
    indent = line[: len(line) - len(line.lstrip())]
    words = textwrap.TextWrapper(
        width, subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
    kept = re.sub("`[^`]*`", lambda command: command[0].replace(" ", _NO_BREAK), line)
    return [part.replace(_NO_BREAK, " ") for part in words.wrap(kept)] or [""]


# Stands for a space within a command, where a line must not break, so that a copied command is complete.
_NO_BREAK = "\0"


def describe_state(process: "ProcessReport | Child") -> str:
    """The state of a process, in one word. A build of a site ends when it is done, and is not there to be started."""
    return "done" if process.done else process.state


def show_rows(rows: Mapping[str, str]) -> None:
    """Aligned `name  value` lines on stdout."""
    width = max(map(len, rows), default=0)
    for name, value in rows.items():
        out.print(Text.assemble(("  ", ""), (tame_line(name).ljust(width), "dim"), "  ", tame_line(value)))


def show_paths(verified: "Verified") -> None:
    """One line a path: whether a call got through, how fast, by which candidates, and who has used it from outside."""
    for result in verified.paths:
        mark, colour = {True: ("ok", "green"), False: ("FAILS", "bold red"), None: ("unknown", "yellow")}[result.ok]
        text = describe_path(result) if result.ok else f"at stage {result.stage}: {result.detail}"
        text += describe_outside(result, verified.outside)
        out.print(Text.assemble("  ", result.path.ljust(9), (mark.ljust(8), colour), text))


def describe_path(result: "PathResult") -> str:
    """`connected in 12 ms, round trip 0.4 ms, loss 0 %, udp … to udp …`."""
    parts = []
    if result.connect_ms is not None:
        parts.append(f"connected in {result.connect_ms:.0f} ms")
    if result.rtt_ms is not None:
        parts.append(f"round trip {result.rtt_ms:.1f} ms")
    if result.loss is not None:
        parts.append(f"loss {result.loss:.0%}")
    if result.relay:
        parts.append(f"by {result.relay}")
    elif result.remote:
        parts.append(f"to {result.remote}")
    return ", ".join(parts)


def describe_briefly(result: "PathResult") -> str:
    """`connected in 12 ms, round trip 0.4 ms`, and the loss where there is some: half a line of a narrow terminal."""
    return describe_path(replace(result, remote=None, relay=None, loss=result.loss or None))


def describe_outside(result: "PathResult", outside: "Sightings") -> str:
    """`; outside: 2 min ago from 203.0.113.7`, or nothing where it is not known."""
    if result.path not in outside:
        return ""
    seen = outside[result.path]
    if seen is None:
        return "; outside: not seen"
    said = "; outside: " if seen.proven else "; outside: not proven, used "
    return f"{said}{lasting(seen.at)} ago from {seen.address}"


def show_detour(verified: "Verified") -> None:
    """Show the names whose calls did not go where the names lead."""
    if verified.note:
        say(f"the calls went {verified.note}", "note", "cyan")


def show_unseen(verified: "Verified", url: str) -> None:
    """Say what to do about paths that no client on another machine has used, or whose uses do not prove that clients
    get in."""
    shown = {result.path: verified.outside[result.path] for result in verified.paths if result.path in verified.outside}
    asking = f"`lkhub verify --url {url}` on another machine, with the key of `lkhub env`"
    if None in shown.values():
        say(
            "this machine's own calls never meet the firewall in front of it; the first participants show "
            f"whether others get in, or {asking}",
            "outside",
        )
    opened = [path for path, seen in shown.items() if seen and not seen.proven]
    if opened:
        say(
            f"the hub's packets to the last client on {', '.join(opened)} were faster than the client's own, and open "
            f"a firewall for that client alone; a later call may show whether others get in, or {asking}",
            "outside",
        )


def lasting(since: float) -> str:
    """How long it is since an epoch time."""
    seconds = max(0, int(time.time() - since))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def show_findings(findings: Iterable["Folded"]) -> None:
    """Findings with cause and fix, on stderr, and below each a line for what follows from it. A finding without a fix
    is shown as a note."""
    for folded in findings:
        finding = folded.finding
        if finding.is_note:
            say(f"{': '.join(filter(None, (finding.title, finding.cause)))} [{finding.code}]", "note", _COLOURS["info"])
            continue
        err.print()
        say(f"{finding.title} [{finding.code}]", finding.severity, _COLOURS[finding.severity])
        for label, text in (("what", _mark_lines(finding.detail)), ("why", finding.cause)):
            if text:
                say(text, label, indent="  ")
        for fix in finding.fix:
            where = "on the machine, outside the container: " if _is_for_the_machine(fix) else ""
            command = f": `{fix.command}`" if fix.command else ""
            say(where + fix.text + command, "fix", indent="  ")
        for other in folded.consequences:
            say(f"{other.title} [{other.code}]", "so", _COLOURS[other.severity], indent="  ")


def _mark_lines(detail: str) -> str:
    """The detail of a finding, with a mark before each line of another program, such as a build: without it,
    `  fix: …` in there would look like a fix of ours."""
    first, *lines = detail.split("\n")
    return "\n".join([first, *(line if line.startswith(QUOTED) else f"{QUOTED}{line}" for line in lines)])


def _is_for_the_machine(fix: "Fix") -> bool:
    """Whether we are in a container, and the command changes the machine that the container runs on."""
    if "sudo " not in (fix.command or ""):
        return False
    # Imported here: 3 ms, which most of what is shown does without.
    from lkhub.host.runs_in import is_in_image

    return is_in_image()


def draw_qr(text: str) -> list[str]:
    """The lines of a QR code, two of its rows in one, black on white whatever the terminal's colours are.

    A code in the terminal's own colours is the negative of one on a light terminal, which phones don't read.
    """
    # Imported here: it costs 19 ms, and most of what is shown is no QR code.
    import segno

    rows = [list(row) for row in segno.make(text, error="l", micro=False).matrix_iter(border=2)]
    rows += [[0] * len(rows[0])] * (len(rows) % 2)
    pairs = (zip(upper, lower, strict=True) for upper, lower in zip(rows[::2], rows[1::2], strict=True))
    return [f"{_BLACK_ON_WHITE}{''.join(_HALVES[pair] for pair in line)}{_PLAIN}" for line in pairs]


# Of the 256 colours, the ones that no theme changes (xterm's ctlseqs, SGR 38 and 48).
_BLACK_ON_WHITE, _PLAIN = "\x1b[38;5;16;48;5;231m", "\x1b[0m"
_HALVES = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}


def show_qr(text: str, *, below: int = 0) -> bool:
    """Draw a QR code on stdout if that is a terminal with room for it and `below` more lines. Returns whether it was
    drawn."""
    if not out.is_terminal:
        return False
    lines = draw_qr(text)
    width = len(lines[0]) - len(_BLACK_ON_WHITE + _PLAIN)
    if len(lines) + below > out.height or width > out.width:
        return False
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    return True
