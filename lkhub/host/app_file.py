"""A file of an application: read, and replaced in one step with its owner and mode kept.

Root may do this in a folder of another user, who could put a link to any file in its place. A link is followed only if
it belongs to root, or to the owner of what it leads to, as the kernel does in /tmp (sysctl fs.protected_symlinks). The
path that is found so is then walked folder by folder, without links: the other user could put one there meanwhile.
"""

import contextlib
import errno
import os
import secrets
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from lkhub.errors import InputError, MachineError
from lkhub.host.files import FILE_MODE, MAX_INPUT_BYTES, user_name

# As the kernel's MAXSYMLINKS.
_MOST_LINKS = 40

# A folder that is only passed through need not be readable, but macOS can't open it otherwise.
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_ACCESS_LIST = "system.posix_acl_access"

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
        content, status, owner = _read(real)
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
    name = os.path.basename(file.path)
    temporary = f".{name}.{secrets.token_hex(4)}"
    with _explained(file.path, "write"), _opened_folder(file.path) as folder:
        # With 0600: the text is never readable by others, not even for a moment.
        handle = os.open(temporary, _CREATE, FILE_MODE, dir_fd=folder)
        try:
            with os.fdopen(handle, "wb") as written:
                written.write(content)
                _give(handle, file, folder)
                written.flush()
                os.fsync(handle)
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise


def _give(handle: int, file: AppFile, folder: int) -> None:
    """Give an open file the owner, the group, the access list and the mode of `file`. Everything is done to the
    descriptor, since another user may own the folder."""
    made = os.fstat(handle)
    if (made.st_uid, made.st_gid) != (file.uid, file.gid):
        os.fchown(handle, file.uid, file.gid)
    if _has_access_list(handle):
        # It comes from the folder's default list. The mode's bits for the group would put it into force.
        os.removexattr(handle, _ACCESS_LIST)
    os.fchmod(handle, file.mode)
    if file.content is not None:
        with contextlib.suppress(FileNotFoundError):
            before = os.open(os.path.basename(file.path), _READ, dir_fd=folder)
            try:
                if _has_access_list(before):
                    os.setxattr(handle, _ACCESS_LIST, os.getxattr(before, _ACCESS_LIST))
            finally:
                os.close(before)


def _has_access_list(handle: int) -> bool:
    try:
        return hasattr(os, "listxattr") and _ACCESS_LIST in os.listxattr(handle)
    except OSError as error:
        if error.errno != errno.ENOTSUP:  # as sshfs says, and virtiofsd unless it is told otherwise
            raise
        return False


def _read(real: str) -> tuple[bytes | None, os.stat_result | None, os.stat_result]:
    """Content and status of a regular file, None where there is no file; and the status of whose owner it is: the
    file's, else the folder's."""
    with contextlib.ExitStack() as opened:
        try:
            folder = opened.enter_context(_opened_folder(real))
        except FileNotFoundError:
            missing = os.path.dirname(real)
            hint = f"`mkdir -p {shlex.quote(missing)}` makes it"
            raise MissingFolderError(f"the folder {missing} does not exist", hints=(hint,)) from None
        try:
            handle = os.open(os.path.basename(real) or ".", _READ, dir_fd=folder)
        except FileNotFoundError:
            return None, None, os.fstat(folder)
        file = opened.enter_context(os.fdopen(handle, "rb"))
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{real} is not a regular file")
        content = file.read(MAX_INPUT_BYTES + 1)
    if len(content) > MAX_INPUT_BYTES:
        raise InputError(f"{real} is over {MAX_INPUT_BYTES:,} bytes", hints=("is this the right file?",))
    return content, status, status


@contextlib.contextmanager
def _opened_folder(real: str) -> Iterator[int]:
    """A descriptor of the folder of a file whose path leads through no link. Raises OSError where it does by now."""
    folder = os.open("/", _PASS)
    try:
        for name in filter(None, os.path.dirname(real).split("/")):
            inner = os.open(name, _PASS, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


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
