"""Rotation of log files by size."""

import os
import shutil

from lkhub.host.files import explain_os_errors

# Enough for days of a quiet hub, and little on a small disk: four files of each process.
MAX_BYTES = 10 * 1024 * 1024
KEPT = 3


def rotate_log(path: str, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> bool:
    """Move the content of a large log to `path.1` (and `.1` to `.2`, …) and empty the file; whether it was large.

    The file is copied and truncated, not renamed: the process that writes it holds it open in append mode
    and goes on at the new end. Lines written during the copy are lost, as with logrotate's copytruncate.
    """
    with explain_os_errors(path, "rotate"):
        try:
            if os.path.getsize(path) <= max_bytes:
                return False
        except FileNotFoundError:
            return False
        for number in range(kept - 1, 0, -1):
            if os.path.exists(f"{path}.{number}"):
                os.replace(f"{path}.{number}", f"{path}.{number + 1}")
        shutil.copyfile(path, f"{path}.1")
        os.chmod(f"{path}.1", 0o600)
        os.truncate(path, 0)
    return True
