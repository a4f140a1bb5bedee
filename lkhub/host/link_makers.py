"""Opens a folder that other users may have a hand in, such as the project of an agent in the home of one of them.
engine/internal/edge/site_root_linux.go does so for the folder of a web site, at each request.

Root, or the hub's own user, can read more than such a user can: a link that somebody has put there must not lead to it.
"""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from lkhub.host.files import user_name

# As many links as Linux follows (path_resolution(7)), each to a path of some folders.
_MOST_STEPS = 40 * 64


@contextlib.contextmanager
def opened_of_others(path: str) -> Iterator[int]:
    """The folder at an absolute path, opened. Raises OSError, also where a link on the way was made by a user other
    than root and ours, and leads to a folder that does not belong to the maker of the link. Outside Linux, links are
    not looked at."""
    handle = _open(path)
    try:
        yield handle
    finally:
        os.close(handle)


def _open(path: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    if sys.platform != "linux":
        return os.open(path, flags)
    at, makers = _go(path)
    try:
        handle = os.open(".", flags, dir_fd=at)
    finally:
        os.close(at)
    owner = os.fstat(handle).st_uid
    if others := makers - {0, os.geteuid(), owner}:
        os.close(handle)
        made = f"a link that {user_name(min(others))} has made to a folder of {user_name(owner)}"
        raise OSError(errno.ELOOP, f"it is, or is reached by, {made}", path)
    return handle


if sys.platform == "linux":

    def _go(path: str) -> tuple[int, set[int]]:
        """What is at an absolute path, opened as O_PATH does, and the users that made the links on the way. Each link
        is opened and then read, so that no other one can take its place meanwhile."""
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        steps, makers = [*reversed(Path(path).parts)], set[int]()
        at = os.open("/", flags)
        try:
            for _ in range(_MOST_STEPS):
                if not steps:
                    return at, makers
                found = _open_step(steps.pop(), flags, at)
                status = os.fstat(found)
                if stat.S_ISLNK(status.st_mode):
                    makers.add(status.st_uid)
                    text = os.readlink("", dir_fd=found)
                    steps += reversed(Path(text).parts)
                else:
                    at, found = found, at
                os.close(found)
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        except BaseException:
            os.close(at)
            raise

    def _open_step(step: str, flags: int, at: int) -> int:
        """O_DIRECTORY has the kernel mount a folder that is mounted when it is used (autofs)."""
        try:
            return os.open(step, flags | os.O_DIRECTORY, dir_fd=at)
        except NotADirectoryError:
            return os.open(step, flags, dir_fd=at)
