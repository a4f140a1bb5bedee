"""The state directory: a private folder that has files of a hub alone."""

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from lkhub.errors import MachineError
from lkhub.host.files import ensure_private_dir, explain_os_errors
from lkhub.host.trees import list_tree
from lkhub.plan.paths import STATE_NAMES, StatePaths

# The names that mkstemp makes for files that are written beside their place.
_HALF_WRITTEN = re.compile(r"\.(.+)\.[a-z0-9_]{8}")
_MAY_BE_WRITTEN_SECONDS = 60.0

# Other people's projects are in it, which may have a `.env.template`, and tens of thousands of files.
_OF_AGENTS = os.path.basename(StatePaths("").agents)

_HINTS = ("choose a new or empty folder with --state DIR",)


def ensure_state_dir(path: str) -> None:
    """`ensure_private_dir` for a state directory: refuses to close a folder that has anything else in it, such as /tmp
    or a home directory, or files of another user, who would know the keys in them."""
    with explain_os_errors(path, "read"):
        mode = os.stat(path).st_mode if os.path.isdir(path) else 0
        foreign = mode & 0o077 and _is_foreign(Path(path), mode)
        planted = next(_list_planted(path), None) if mode & 0o022 else None
    if foreign:
        raise MachineError(
            f"{path} has other files in it, and a state directory is closed to other users", hints=_HINTS
        )
    if planted:
        raise MachineError(f"others may write to {path}, and {planted} belongs to another user", hints=_HINTS)
    ensure_private_dir(path)


def _is_foreign(path: Path, mode: int) -> bool:
    return bool(mode & stat.S_ISVTX) or not all(_is_own(entry.name) for entry in path.iterdir())


def _is_own(name: str) -> bool:
    """Whether it is in a state directory, or is written beside what is in it."""
    half = _HALF_WRITTEN.fullmatch(name)
    return (half[1] if half else name) in STATE_NAMES


def _list_planted(path: str) -> Iterator[str]:
    """All files below `path` that do not belong to this user."""
    return (file for file in list_tree(path) if os.lstat(file).st_uid != os.geteuid())


def remove_half_written(path: str) -> None:
    """Remove what processes were writing in a state directory when they were killed: keys would stay there for ever.
    Files of the last minute are left, since they may still be written; so is what can't be removed, and what is not
    the hub's: a folder that is private already may have a `.env.template` in it."""
    for folder, folders, names in os.walk(path):
        if folder == path:
            folders[:] = [name for name in folders if name in STATE_NAMES - {_OF_AGENTS}]
            names = [name for name in names if _is_own(name)]
        for file in (os.path.join(folder, name) for name in names if _HALF_WRITTEN.fullmatch(name)):
            with contextlib.suppress(OSError):
                if time.time() - os.lstat(file).st_mtime > _MAY_BE_WRITTEN_SECONDS:
                    os.unlink(file)
