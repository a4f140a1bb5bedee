"""A file of an application: read, and replaced in one step with its owner and mode kept.

Root may do this in a folder of another user, who could put a link to any file in its place. A link is followed only if
it belongs to root, or to the owner of what it leads to, as the kernel does in /tmp (sysctl fs.protected_symlinks).
"""

import contextlib
import errno
import os
import shlex
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from lkhub.errors import InputError, MachineError
from lkhub.host.files import FILE_MODE, MAX_INPUT_BYTES, user_name

# As the kernel's MAXSYMLINKS.
_MOST_LINKS = 40

# What the system says about a path that leads to no file.
_WRONG_PATH = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)


class ForbiddenFileError(MachineError):
    """This user may not read or write the file."""


class MissingFolderError(InputError):
    """There is neither the file nor the folder that it would be in."""


@dataclass(frozen=True)
class AppFile:
    """`path` leads through no link. `content` is None if there is no file yet; then `uid`, `gid` and `mode` are those
    that it will get."""

    path: str
    content: bytes | None
    uid: int
    gid: int
    mode: int


def read_app_file(path: str) -> AppFile:
    """The file at this path, or behind the links there. A new one belongs to the owner of its folder. Raises
    MissingFolderError, InputError if it is not a regular file or is too long, ForbiddenFileError if this user may not
    read it, and MachineError."""
    with _explained(path, "read"):
        real, links = _follow(path)
        content, status = _read(real)
        owner = status or _stat_folder(os.path.dirname(real))
    for link in links:
        if os.geteuid() == 0 and link.st_uid not in (0, owner.st_uid):
            raise ForbiddenFileError(
                f"{path} is a link of {user_name(link.st_uid)} to a file of {user_name(owner.st_uid)}",
                hints=(f"if it is the right file, name it without the link: {real}",),
            )
    if status:
        return AppFile(real, content, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
    if os.geteuid() == 0:
        return AppFile(real, None, owner.st_uid, owner.st_gid, FILE_MODE)
    return AppFile(real, None, os.geteuid(), os.getegid(), FILE_MODE)


def replace_app_file(file: AppFile, content: bytes) -> None:
    """Give the file this content in one step. Owner, mode and access list stay. Raises ForbiddenFileError, and
    MachineError."""
    temporary = None
    try:
        with _explained(file.path, "write"):
            folder, name = os.path.split(file.path)
            # mkstemp creates with 0600: the text is never readable by others, not even for a moment.
            handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
            with os.fdopen(handle, "wb") as written:
                written.write(content)
                _give(handle, file)
                written.flush()
                os.fsync(handle)
            os.replace(temporary, file.path)
            temporary = None
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _give(handle: int, file: AppFile) -> None:
    """Give an open file the owner, the group, the access list and the mode of `file`. Everything is done to the
    descriptor, since another user may own the folder."""
    made = os.fstat(handle)
    if (made.st_uid, made.st_gid) != (file.uid, file.gid):
        os.fchown(handle, file.uid, file.gid)
    os.fchmod(handle, file.mode)
    if file.content is not None and hasattr(os, "listxattr"):
        with contextlib.suppress(FileNotFoundError):
            for name in os.listxattr(file.path):
                if name == "system.posix_acl_access":
                    os.setxattr(handle, name, os.getxattr(file.path, name))


def _read(real: str) -> tuple[bytes | None, os.stat_result | None]:
    """Content and status of a regular file; None where there is no file."""
    try:
        handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{real} is not a regular file")
        content = file.read(MAX_INPUT_BYTES + 1)
    if len(content) > MAX_INPUT_BYTES:
        raise InputError(f"{real} is over {MAX_INPUT_BYTES:,} bytes", hints=("is this the right file?",))
    return content, status


def _stat_folder(folder: str) -> os.stat_result:
    try:
        return os.stat(folder)
    except FileNotFoundError:
        hint = f"`mkdir -p {shlex.quote(folder)}` makes it"
        raise MissingFolderError(f"the folder {folder} does not exist", hints=(hint,)) from None


def _follow(path: str) -> tuple[str, list[os.stat_result]]:
    """Where a path leads, and every link on the way. Raises OSError."""
    links: list[os.stat_result] = []
    real, ahead = "/", os.path.abspath(path).split("/")
    while ahead:
        step = os.path.normpath(os.path.join(real, ahead.pop(0)))
        try:
            target = os.readlink(step)
        except OSError:  # not a link, or nothing is there yet
            real = step
            continue
        links.append(os.lstat(step))
        if len(links) > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        ahead = target.split("/") + ahead
        real = "/" if target.startswith("/") else os.path.dirname(step)
    return real, links


@contextlib.contextmanager
def _explained(path: str, doing: str) -> Iterator[None]:
    try:
        yield
    except ValueError:
        raise InputError(f"{path!r} is not the name of a file") from None
    except PermissionError as error:
        raise ForbiddenFileError(f"can't {doing} {path}: permission denied") from error
    except OSError as error:
        kind = InputError if error.errno in _WRONG_PATH else MachineError
        raise kind(f"can't {doing} {path}: {(error.strerror or str(error)).lower()}") from error
