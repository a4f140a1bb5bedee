"""Temporary folders with secrets in them, or with hundreds of megabytes: one that a killed process has left does not
stay."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lkhub.host.lock import hold_folder, is_held


@contextlib.contextmanager
def temporary_folder(prefix: str) -> Iterator[str]:
    """A private folder for as long as the block runs, locked meanwhile. Those whose names begin in the same way, and
    which processes of this user have left that were killed, are removed first."""
    _remove_left(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix) as folder, hold_folder(folder):
        yield folder


def _remove_left(prefix: str) -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            if (
                path.lstat().st_uid == os.geteuid()
                and path.is_dir()
                and not path.is_symlink()
                and not is_held(str(path))
            ):
                shutil.rmtree(path, ignore_errors=True)
