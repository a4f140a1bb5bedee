"""What a machine refuses in the middle of a command."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest


def refuse_to_list(patch: pytest.MonkeyPatch, ending: str) -> None:
    """Let a folder whose path has this ending be listed no more, as where its disk fails."""
    listed = os.scandir

    def scan(path: Any = ".") -> Any:
        if isinstance(path, str | Path) and str(path).endswith(ending):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return listed(path)

    patch.setattr(os, "scandir", scan)
