"""Output that can't be written. Light to import: every command needs this module."""

import errno
import io
import os
import stat
import sys
from typing import IO, Any


class _Terminal(io.FileIO):
    """A terminal that may go away while a command runs, as where its window is closed. Then it takes no output, as a
    pipe whose reader has ended, and is told as that is."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error


def notice_lost_terminals() -> None:
    """Have a BrokenPipeError where stdout or stderr is a terminal that is gone, in place of an OSError that may mean a
    broken disk. A terminal that was gone before the start is no terminal any more, but a device still."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and _is_device(stream):
            raw = _Terminal(stream.fileno(), "w", closefd=False)
            # With `python -u` there is no buffer.
            buffer = raw if isinstance(stream.buffer, io.RawIOBase) else io.BufferedWriter(raw)
            text = io.TextIOWrapper(
                buffer,
                stream.encoding,
                stream.errors,
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, text)


def _is_device(stream: IO[str]) -> bool:
    try:
        return stat.S_ISCHR(os.fstat(stream.fileno()).st_mode)
    except OSError:  # it is kept in memory
        return False


def drop_output(stream: IO[str]) -> None:
    """Let what is buffered in a stream that can't be written go nowhere. It would fail again at the end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)
