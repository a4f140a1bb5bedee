"""Removes folders that other people's code has filled: it may have put links there, and folders below folders without
end."""

import contextlib
import os
import shutil
from pathlib import PurePath
from secrets import token_hex

# Where a process still makes folders there, this ends all the same.
_MOST_LEVELS = 100_000

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(folder: str, path: str) -> None:
    """Remove what is at `path`, a relative path, below a folder of ours, with all that is in it. No link is followed on
    the way. What can't be removed stays."""
    *above, name = PurePath(path).parts
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, at)
        for step in above:
            at = os.open(step, _FOLDER, dir_fd=at)
            stack.callback(os.close, at)
        with contextlib.suppress(RecursionError):
            shutil.rmtree(name, ignore_errors=True, dir_fd=at)
        # What is left is deeper than Python can go, or than there are descriptors.
        top = os.open(name, _FOLDER, dir_fd=at)
        stack.callback(os.close, top)
        _flatten(top)
        os.rmdir(name, dir_fd=at)


def _flatten(top: int) -> None:
    """Empty an open folder, and move each folder in its folders up into it, so that it is never deeper than two. Raises
    OSError."""
    for _ in range(_MOST_LEVELS):
        names = os.listdir(top)
        if not names:
            return
        for name in names:
            try:
                folder = os.open(name, _FOLDER, dir_fd=top)
            except OSError:  # a file or a link
                os.unlink(name, dir_fd=top)
                continue
            try:
                for inner in os.listdir(folder):
                    try:
                        os.unlink(inner, dir_fd=folder)
                    except (IsADirectoryError, PermissionError):  # Linux, macOS
                        os.rename(inner, token_hex(16), src_dir_fd=folder, dst_dir_fd=top)
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=top)
