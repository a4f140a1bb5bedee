"""Records that commands write beside each other."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from lkhub.host.files import explain_os_errors
from lkhub.plan.paths import StatePaths


@contextlib.contextmanager
def recording(paths: StatePaths) -> Iterator[None]:
    """Held while a record is read and written: of two commands at the same time, it would lose what one of them
    noted."""
    with explain_os_errors(paths.root, "open"):
        handle = os.open(paths.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
