"""The state directory: a private folder that has files of a hub alone."""

import stat
from pathlib import Path

from lkhub.errors import MachineError
from lkhub.host.files import ensure_private_dir, explain_os_errors
from lkhub.plan.paths import STATE_NAMES


def ensure_state_dir(path: str) -> None:
    """`ensure_private_dir` for a state directory: refuses to close a folder that has anything else in it, such as /tmp
    or a home directory."""
    with explain_os_errors(path, "read"):
        foreign = Path(path).is_dir() and _is_foreign(Path(path))
    if foreign:
        raise MachineError(
            f"{path} has other files in it, and a state directory is closed to other users",
            hints=("choose a new or empty folder with --state DIR",),
        )
    ensure_private_dir(path)


def _is_foreign(path: Path) -> bool:
    mode = path.stat().st_mode
    if not mode & 0o077:
        return False
    return bool(mode & stat.S_ISVTX) or not {entry.name for entry in path.iterdir()} <= STATE_NAMES
