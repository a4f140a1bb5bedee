"""What `lkhub render` has written into a folder, so that it can name the files there that no longer belong."""

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from lkhub.cli.shared.show import say, show_hints
from lkhub.errors import MachineError
from lkhub.host.files import read_text, write_private

RECORD = ".lkhub-rendered"
"""Its name has no ending by which kubectl, compose or systemd would read it."""

_HEADER = "# Written by `lkhub render`, which names here what it has written, to find what no longer belongs.\n"

Rendered = Mapping[str, frozenset[str]]
"""The files of each target, by their names in the folder."""


def read_rendered(folder: Path) -> Rendered:
    """What the record says; nothing where there is none, or where it can't be read."""
    try:
        lines = (read_text(str(folder / RECORD)) or "").splitlines()
    except MachineError:
        return {}
    found: dict[str, set[str]] = {}
    for line in lines:
        target, _, name = line.partition(" ")
        path = PurePosixPath(name)
        if name and target != "#" and not path.is_absolute() and ".." not in path.parts:
            found.setdefault(target, set()).add(name)
    return {target: frozenset(names) for target, names in found.items()}


def find_left(known: Rendered, target: str, names: Iterable[str], folder: Path) -> list[str]:
    """The names of files that are there, were written for this target, and are not among `names`, its files now."""
    others = (each for other, each in known.items() if other != target)
    left = known.get(target, frozenset()).difference(names, *others)
    return sorted(name for name in left if os.path.lexists(folder / name))


def write_rendered(known: Rendered, target: str, names: Iterable[str], folder: Path) -> None:
    """Record the files of this target. A folder with one file of lkhub's needs no record: that one is replaced."""
    now = {**known, target: frozenset(names)}
    lines = sorted(f"{each} {name}\n" for each, files in now.items() for name in files)
    if known or len(lines) > 1:
        write_private(str(folder / RECORD), _HEADER + "".join(lines), 0o644)


def show_left(names: Iterable[str], folder: Path) -> None:
    """Name the files that no longer belong. They stay: something may run by them."""
    paths = [str(folder / name) for name in names]
    for path in paths:
        say(
            f"{path} does not follow from the spec any more; lkhub wrote it before, and leaves it there", "note", "cyan"
        )
    if paths:
        show_hints([f"`{shlex.join(['rm', *paths])}` removes it, once nothing runs by it"])
