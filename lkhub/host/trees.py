"""Opens, lists and removes folders that other people's code has filled: it may have put links there, and folders below
folders without end."""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePath
from secrets import token_hex

# Where a process still makes folders there, this ends all the same.
_MOST_LEVELS = 100_000

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def opened(path: str, at: int | None = None) -> Iterator[int]:
    """A folder, opened without following a link on the way from the open folder `at`. An absolute path may have
    some. Raises OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    handle = os.open(path, flags) if at is None else os.dup(at)
    try:
        for step in Path(path).parts if at is not None else ():
            after = os.open(step, flags | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = after
        yield handle
    finally:
        os.close(handle)


def list_tree(folder: str) -> Iterator[str]:
    """The paths of all that is in a folder and in its folders, each folder before what is in it. No link is followed.
    os.walk ends by an error where folders are deep (Python 3.11). Raises OSError."""
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                yield entry.path
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)


def let_all_read(folder: str) -> None:
    """Let every user who gets to a folder read what is in it. Raises OSError."""
    # Each folder is changed before it is listed.
    for path in chain((folder,), list_tree(folder)):
        mode = os.lstat(path).st_mode
        if not stat.S_ISLNK(mode):
            os.chmod(path, 0o755 if stat.S_ISDIR(mode) or mode & 0o111 else 0o644)


def remove_tree(folder: str, path: str) -> None:
    """Remove what is at `path`, a relative path, below a folder of ours, with all that is in it. No link is followed on
    the way. What can't be removed stays."""
    name = PurePath(path).name
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        at = stack.enter_context(opened(str(PurePath(path).parent), stack.enter_context(opened(folder))))
        with contextlib.suppress(RecursionError):
            shutil.rmtree(name, ignore_errors=True, dir_fd=at)
            if os.geteuid() != 0 and _is_there(name, at):
                _let_owner_write(os.path.join(folder, path))
                shutil.rmtree(name, ignore_errors=True, dir_fd=at)
        # What is left is deeper than Python can go, or than there are descriptors.
        top = os.open(name, _FOLDER, dir_fd=at)
        stack.callback(os.close, top)
        _flatten(top)
        os.rmdir(name, dir_fd=at)


def _is_there(name: str, at: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        os.stat(name, dir_fd=at, follow_symlinks=False)
        return True
    return False


def _let_owner_write(folder: str) -> None:
    """Let our user change folders that it may only read, as those of Go's modules. Not for root: it needs no such
    right, and a link that another user puts there would lead it elsewhere."""
    with contextlib.suppress(OSError):
        # Each folder is changed before it is listed.
        for path in chain((folder,), list_tree(folder)):
            if os.path.isdir(path) and not os.path.islink(path):
                os.chmod(path, 0o700)


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
