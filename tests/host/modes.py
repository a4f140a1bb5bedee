"""The mode of a file, as tests compare it."""

import os
from pathlib import Path


def mode(path: Path | str) -> int:
    return os.stat(path).st_mode & 0o7777
