"""A finding for each file of lkhub's own that was edited: rendered files, and the unit. Pure."""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from shlex import quote

from lkhub.findings.catalogue.hub import drift
from lkhub.findings.finding import Finding, Fix

# A finding is read on a terminal; the command in it shows the rest.
MAX_LINES = 12

# Where a rendered file has a secret: after a key that says so, in a URL, or as a word that is too long for anything
# else. Paths have slashes.
_AFTER_KEY = re.compile(r"""((?:secret|password|credential|token|api_?key|mac_key)[\w-]*["']?\s*[:=]\s*)\S.*""", re.I)
_IN_URL = re.compile(r"(://)[^\s/@]+@")
_LONG_WORD = re.compile(r"(?<![\w/.-])[A-Za-z0-9+_=-]{32,}(?![\w/.-])")


@dataclass(frozen=True)
class EditedFile:
    """The rendered file `path` has the text `now`, and `kept` has what somebody had written there: `text`."""

    path: str
    kept: str
    text: str = field(repr=False)
    now: str = field(repr=False)


def check_drift(edited: Iterable[EditedFile]) -> Iterator[Finding]:
    """A finding for each copy of an edited file."""
    for each in edited:
        difference = describe_difference(each)
        yield drift(unit=False).about(
            each.kept.rpartition("/")[2],
            detail="\n".join([f"the edit is kept as {each.kept}", *(f"    {line}" for line in difference)]),
            fix=(
                Fix("see all of the difference, with secrets", f"diff -u {quote(each.path)} {quote(each.kept)}"),
                Fix("write what you want into the spec; keys of LiveKit that lkhub has no key for go below `livekit:`"),
                Fix("then remove the copy", f"rm {quote(each.kept)}"),
            ),
        )


def check_unit(unit: str, *, edited: bool, kept: str, control: str, own: bool) -> Iterator[Finding]:
    """A finding where the unit at the path `unit` was edited, or where `kept` has such an edit, over which `lkhub
    install` has written. `control` is how its user calls systemctl. `own`: it is a service of the user's own."""
    name = unit.rpartition("/")[2].removesuffix(".service")
    drop_in = Fix("write what you want into a file of your own, which lkhub leaves alone", f"{control} edit {name}")
    sudo = "" if own else "sudo "
    if edited:
        yield drift(unit=True).about(
            unit.rpartition("/")[2],
            detail=f"{unit} is not as `lkhub install` wrote it; the next one writes it again and keeps the edit",
            fix=(drop_in, Fix("then write the unit again", f"{sudo}lkhub install")),
        )
    if kept:
        yield drift(unit=True).about(
            kept.rpartition("/")[2],
            detail=f"the edit is kept as {kept}",
            fix=(
                Fix("see the difference", f"diff -u {quote(unit)} {quote(kept)}"),
                drop_in,
                Fix("then remove the copy", f"{sudo}rm {quote(kept)}"),
            ),
        )


def describe_difference(edited: EditedFile) -> list[str]:
    """The first lines of a unified diff, without secrets."""
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
