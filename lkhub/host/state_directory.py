"""The state directory: a private folder that has files of a hub alone."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from lkhub.errors import MachineError
from lkhub.host.files import ensure_private_dir, explain_os_errors
from lkhub.host.half_written import name_whole, remove_if_left
from lkhub.host.trees import list_tree
from lkhub.plan.paths import STATE_NAMES, StatePaths
from lkhub.shown import escape
from lkhub.state.backup import SPEC as IN_SPEC
from lkhub.state.backup import STATE as IN_STATE

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
        raise MachineError(f"others may write to {path}, and {escape(planted)} belongs to another user", hints=_HINTS)
    ensure_private_dir(path)


def _is_foreign(path: Path, mode: int) -> bool:
    return bool(mode & stat.S_ISVTX) or not all(_is_own(entry.name) for entry in path.iterdir())


def _is_own(name: str) -> bool:
    """Whether it is in a state directory, or is written beside what is in it."""
    return (name_whole(name) or name) in STATE_NAMES


def _list_planted(path: str) -> Iterator[str]:
    """All files below `path` that do not belong to this user."""
    return (file for file in list_tree(path) if os.lstat(file).st_uid != os.geteuid())


def remove_half_written(path: str) -> None:
    """Remove what processes were writing in a state directory when they were killed: keys would stay there for ever.
    What another process is writing is left; so is what can't be removed, and what is not the hub's: a folder that is
    private already may have a `.env.template` in it. For whoever holds the lock of the hub."""
    paths = StatePaths(path)
    # Unpacked by a restore that was killed before it had a record. With one, the new hub counts already.
    if not os.path.lexists(paths.restore_record) and _is_unpacked(paths.restoring):
        shutil.rmtree(paths.restoring, ignore_errors=True)
    for folder, folders, names in os.walk(path):
        if folder == path:
            folders[:] = [name for name in folders if name in STATE_NAMES - {_OF_AGENTS}]
            names = [name for name in names if _is_own(name)]
        for name in names:
            if name_whole(name):
                remove_if_left(os.path.join(folder, name))


def _is_unpacked(folder: str) -> bool:
    return os.path.isdir(folder) and {f"{name}/" for name in os.listdir(folder)} <= {IN_SPEC, IN_STATE}
