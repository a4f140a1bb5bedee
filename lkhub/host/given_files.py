"""Reads the files that a command is asked to judge: text alone, within limits, and nothing that they name."""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from lkhub.errors import InputError

# A configuration file is smaller; a database or a video in a folder of configuration files is not.
MAX_BYTES = 1024 * 1024

# A folder with more of them is a whole disk.
MAX_FILES = 2_000
MAX_ENTRIES = 100_000

# Folders of other people's code, and what version control keeps.
_PASSED_OVER = {".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "vendor", "site-packages"}


class Read(NamedTuple):
    """A file by its path as it was given or found. `text` None: it was not read, for the reason `left`. `named`: the
    path itself was given, and not a folder that it is in."""

    path: str
    text: str | None
    left: str = ""
    named: bool = True


def read_given(paths: Iterable[Path], suffixes: tuple[str, ...]) -> tuple[Read, ...]:
    """The files at these paths; of a folder, those below it whose names have one of the suffixes among their parts, in
    the order of their names. Links in a folder are not followed. Raises InputError, with all of them, for paths where
    nothing is, and for folders with too much."""
    paths = tuple(paths)
    if missing := [str(path) for path in paths if not os.path.lexists(path)]:
        raise InputError("\n".join(f"there is no {path}" for path in missing))
    found: dict[str, Read] = {}
    for path in paths:
        if path.is_dir():
            for each in _list_below(path, suffixes):
                found.setdefault(each, _read(each, named=False))
                if len(found) > MAX_FILES:
                    raise InputError(f"{path} has over {MAX_FILES:,} such files", hints=("name a smaller folder",))
        else:
            found[str(path)] = _read(str(path), named=True)
    return tuple(found.values())


def _list_below(folder: Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    seen = 0
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER)
        seen += len(folders) + len(names)
        if seen > MAX_ENTRIES:
            raise InputError(f"{folder} has over {MAX_ENTRIES:,} entries", hints=("name a smaller folder",))
        for name in sorted(names):
            path = os.path.join(here, name)
            if set(name.lower().split(".")[1:]) & set(suffixes) and not os.path.islink(path):
                yield path


def _read(path: str, *, named: bool) -> Read:
    try:
        # A pipe would keep it waiting for a writer.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return Read(path, None, "it is no file", named)
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        return Read(path, None, f"it can't be read: {(error.strerror or str(error)).lower()}", named)
    if len(raw) > MAX_BYTES:
        return Read(path, None, f"it is over {MAX_BYTES:,} bytes", named)
    try:
        return Read(path, raw.decode("utf-8-sig"), "", named)
    except UnicodeDecodeError:
        return Read(path, None, "it is no text of UTF-8", named)
