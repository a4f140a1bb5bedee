"""A finding for each file of lkhub's own that was edited: rendered files, and the unit. Pure."""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from shlex import quote

from lkhub.findings.catalogue.hub import drift
from lkhub.findings.finding import Finding, Fix
from lkhub.shown import QUOTED

# A finding is read on a terminal; the command in it shows the rest.
MAX_LINES = 12

# Where a rendered file has a secret: after a key that says so, in a URL, or as a word that is too long for anything
# else. Paths have slashes.
_AFTER_KEY = re.compile(r"""((?:secret|password|credential|token|api_?key|mac_key)[\w-]*["']?\s*[:=]\s*)\S.*""", re.I)
_IN_URL = re.compile(r"(://)[^\s/@]+@")
_LONG_WORD = re.compile(r"(?<![\w/.-])[A-Za-z0-9+_=-]{32,}(?![\w/.-])")


@dataclass(frozen=True)
class EditedFile:
    """The file `path` has the text `now`, as lkhub has written it, and `kept` has what somebody has written there:
    `text`. `now` is None where that is not known, as of a unit of an earlier version."""

    path: str
    kept: str
    text: str = field(repr=False)
    now: str | None = field(repr=False)


def check_drift(edited: Iterable[EditedFile]) -> Iterator[Finding]:
    """A finding for each copy of an edited file."""
    for each in edited:
        yield drift(unit=False).about(
            each.kept.rpartition("/")[2],
            detail=_show(f"the edit is kept as {each.kept}", each),
            fix=(
                _see(each),
                Fix("write what you want into the spec; keys of LiveKit that lkhub has no key for go below `livekit:`"),
                Fix("then remove the copy", f"rm {quote(each.kept)}"),
            ),
        )


def check_unit(
    unit: str, edited: EditedFile | None, before: EditedFile | None, *, control: str, lkhub: str, own: bool
) -> Iterator[Finding]:
    """A finding where the unit at the path `unit` was `edited`, or was `before`, when `lkhub install` has written over
    the edit. `control` is how its user calls systemctl, and `lkhub` how the service's commands begin. `own`: it is a
    service of the user's own."""
    name = unit.rpartition("/")[2].removesuffix(".service")
    drop_in = Fix("write what you want into a file of your own, which lkhub leaves alone", f"{control} edit {name}")
    if edited:
        yield drift(unit=True).about(
            unit.rpartition("/")[2],
            detail=_show(
                f"{unit} is not as `lkhub install` wrote it; the next one writes it again and keeps the edit", edited
            ),
            fix=(
                *([_see(edited)] if edited.now is not None else []),
                drop_in,
                Fix("then write the unit again", f"{lkhub} install"),
            ),
        )
    if before:
        sudo = "" if own else "sudo "
        yield drift(unit=True).about(
            before.kept.rpartition("/")[2],
            detail=_show(f"the edit is kept as {before.kept}", before),
            fix=(_see(before), drop_in, Fix("then remove the copy", f"{sudo}rm {quote(before.kept)}")),
        )


def _show(text: str, edited: EditedFile) -> str:
    return "\n".join([text, *(f"{QUOTED}{line}" for line in describe_difference(edited))])


def _see(edited: EditedFile) -> Fix:
    return Fix("see all of the difference, with secrets", f"diff -u {quote(edited.path)} {quote(edited.kept)}")


def describe_difference(edited: EditedFile) -> list[str]:
    """The first lines of a unified diff, without secrets; none where only the text of the edit is known."""
    if edited.now is None:
        return []
    lines = [
        hide_secrets(line)
        for line in difflib.unified_diff(edited.now.splitlines(), edited.text.splitlines(), n=1, lineterm="")
        if not line.startswith(("---", "+++"))
    ]
    left = len(lines) - MAX_LINES
    return [*lines[:MAX_LINES], f"… and {left} more lines"] if left > 0 else lines


def hide_secrets(line: str) -> str:
    """A line of a rendered file without what may be a secret in it."""
    return _LONG_WORD.sub("***", _IN_URL.sub(r"\1***@", _AFTER_KEY.sub(r"\1***", line)))
