"""Output that can't be written. Light to import: every command needs this module."""

import os
from typing import IO


def drop_output(stream: IO[str]) -> None:
    """Let what is buffered in a stream that can't be written go nowhere. It would fail again at the end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)
