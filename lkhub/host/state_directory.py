"""The state directory: a private folder that has files of a hub alone."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from lkhub.errors import MachineError
from lkhub.host.files import ensure_private_dir, explain_os_errors
from lkhub.plan.paths import STATE_NAMES

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
    return bool(mode & stat.S_ISVTX) or not {entry.name for entry in path.iterdir()} <= STATE_NAMES


def _list_planted(path: str) -> Iterator[str]:
    """All files below `path` that do not belong to this user."""
    for folder, folders, names in os.walk(path):
        for name in (*folders, *names):
            file = os.path.join(folder, name)
            if os.lstat(file).st_uid != os.geteuid():
                yield file
