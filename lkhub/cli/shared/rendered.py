"""What `lkhub render` has written into a folder, so that it can name the files there that no longer belong, and keep
those that were edited."""

import os
import shlex
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path, PurePosixPath

from lkhub.cli.shared.show import say, show_hints
from lkhub.errors import MachineError
from lkhub.host.files import digest, explain_os_errors, read_bytes, read_text, write_private
from lkhub.plan.paths import name_edited
from lkhub.render.files import RenderedFile

RECORD = ".lkhub-rendered"
"""Its name has no ending by which kubectl, compose or systemd would read it."""

_HEADER = (
    "# Written by `lkhub render`, which names here what it has written, to find what no longer belongs, and what was "
    "edited.\n"
)

PLACE = "with -o DIR"
"""How the user chooses another folder, in a hint."""

Rendered = Mapping[str, Mapping[str, str]]
"""The files of each target, by their names in the folder, each with a digest of its text, or with several, separated by
commas, where it may have one of these; "" where an earlier version has written none."""


def read_rendered(folder: Path) -> Rendered:
    """What the record says; nothing where there is none, or where it can't be read."""
    try:
        lines = (read_text(str(folder / RECORD)) or "").splitlines()
    except MachineError:
        return {}
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        target, name, written = (*line.split(" "), "", "")[:3]
        path = PurePosixPath(name)
        if _is_ours(name) and target != "#" and not path.is_absolute() and ".." not in path.parts:
            found.setdefault(target, {})[name] = written
    return found


def _is_ours(name: str) -> bool:
    """Whether it may be the name of a file of ours. The folder, with its record, may be another user's, who would have
    us type something else."""
    return bool(name) and name.isprintable() and not name.startswith("-") and "`" not in name


def find_left(known: Rendered, target: str, names: Iterable[str], folder: Path) -> list[str]:
    """The names of files that are there, were written for this target, and are not among `names`, its files now."""
    others = (each for other, each in known.items() if other != target)
    left = frozenset(known.get(target, {})).difference(names, *others)
    return sorted(name for name in left if os.path.lexists(folder / name))


def keep_edit(known: Rendered, file: RenderedFile, folder: Path) -> str:
    """Keep the file that is about to be written over, where it was edited since it was written, or is none of lkhub's;
    the path of what was kept, "" where nothing had to be. Raises MachineError."""
    path = str(folder / file.name)
    written = {each for files in known.values() for each in files.get(file.name, "").split(",") if each}
    is_earlier = not written and is_known(known, file)
    # It may be no text.
    before = None if is_earlier else read_bytes(path, PLACE)
    if before is None or before == file.text.encode() or digest(before) in written:
        return ""
    for number in count(1):
        kept = name_edited(path, number)
        # Not a copy: that would need the owner and the rights of this one, and what a link leads to may be secret.
        try:
            os.link(path, kept, follow_symlinks=False)
        except FileExistsError:
            continue
        except OSError:  # a file system without hard links
            if os.path.lexists(kept):
                continue
            with explain_os_errors(kept, "write", PLACE):
                os.rename(path, kept)
        return kept
    raise AssertionError


def is_known(known: Rendered, file: RenderedFile) -> bool:
    """Whether the record says that lkhub has written this file."""
    return any(file.name in files for files in known.values())


def write_rendered(known: Rendered, target: str, files: Mapping[str, str], folder: Path) -> None:
    """Record the files of this target, with the digests of their texts."""
    now = {**known, target: files}
    lines = sorted(f"{each} {name} {written}".rstrip() + "\n" for each in now for name, written in now[each].items())
    write_private(str(folder / RECORD), _HEADER + "".join(lines), 0o644, place=PLACE)


def show_left(names: Iterable[str], folder: Path) -> None:
    """Name the files that no longer belong. They stay: something may run by them."""
    paths = [str(folder / name) for name in names]
    for path in paths:
        say(
            f"{path} does not follow from the spec any more; lkhub wrote it before, and leaves it there", "note", "cyan"
        )
    if paths:
        show_hints([f"`{shlex.join(['rm', *paths])}` removes it, once nothing runs by it"])
