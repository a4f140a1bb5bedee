"""Files and folders of the state directory: private, written whole or not at all."""

import contextlib
import errno
import hashlib
import io
import os
import pwd
import shlex
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from lkhub.errors import OTHER_USER, READ_ONLY, InputError, MachineError
from lkhub.host.half_written import make_half_written
from lkhub.shown import printable

DIR_MODE = 0o700
FILE_MODE = 0o600

# Specs, key files and tokens are a few kilobytes; this keeps a device or a wrong file from filling the memory.
MAX_INPUT_BYTES = 1024 * 1024

# The largest file of a state directory is a key file or a rendered spec, of a megabyte at most.
MAX_TEXT_BYTES = 16 * 1024 * 1024

# An environment for Python with pip in it.
_ROOM_BYTES = 16 * 1024 * 1024

# Room for the address of a Unix socket, with its closing zero: 108 on Linux, 104 on macOS.
MAX_SOCKET_PATH = 103


FREE_SPACE = "free some space (`df -h` shows where), then run it again"
"""What to do about a disk that is full."""


STATE_PLACE = "with --state DIR"
"""How the user chooses another state directory, in a hint."""

FIXED_PLACE = ""
"""In its place, where the user can't choose another one: what a service consists of has fixed paths."""


@contextlib.contextmanager
def explain_os_errors(path: str | Path, doing: str, place: str = STATE_PLACE) -> Iterator[None]:
    """Turn an OSError on `path` into a MachineError that says what to do about it. `place` says how the user chooses
    another place. The reason code is READ_ONLY where the file system is. Where another user's folder is closed to this
    one, as the state directory of that user's hub is, it says whose it is, whatever was tried in there."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM) and place == STATE_PLACE:
            require_open(path)
        reason, code = (error.strerror or str(error)).lower(), ""
        hints: tuple[str, ...] = ()
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT:
                reason, hints = "the disk is full", (FREE_SPACE,)
            case errno.EROFS:
                reason, code = "the file system is read-only", READ_ONLY
                hints = (
                    (f"choose another place {place}", "or remount it writable") if place else ("remount it writable",)
                )
            case errno.EACCES | errno.EPERM:
                closed = f"`namei -l {shlex.quote(str(path))}` shows which folder does not allow it"
                reason, hints = "permission denied", (f"choose a folder of your own {place}" if place else closed,)
        raise MachineError(f"can't {doing} {path}: {reason}", hints=hints, code=code) from error


def require_open(path: str | Path) -> None:
    """Raise MachineError where `path` is in a folder that another user keeps closed, or is such a folder."""
    for folder in (Path(path).absolute(), *Path(path).absolute().parents):
        with contextlib.suppress(OSError):  # what is in a closed folder can't be looked at
            status = os.stat(folder)
            if stat.S_ISDIR(status.st_mode):
                if status.st_uid != os.geteuid() and not os.access(folder, os.X_OK, effective_ids=True):
                    raise MachineError(
                        f"{folder} belongs to {user_name(status.st_uid)}, and this is {user_name(os.geteuid())}",
                        hints=(OTHER_USER, f"or choose a folder of your own {STATE_PLACE}"),
                    )
                return


def require_space(folder: str, needed: int, what: str, *hints: str) -> None:
    """Raise MachineError where less than `needed` bytes are free in a folder. Where the system does not tell, what is
    written tells. `hints` are what else can be done than to free some."""
    with contextlib.suppress(OSError):
        if (free := shutil.disk_usage(folder).free) < needed:
            full = f"{what} needs {needed:,} bytes in {folder}, and {free:,} are free"
            raise MachineError(full, hints=(FREE_SPACE, *hints))


def digest(content: bytes) -> str:
    """A digest that tells one content from another."""
    return hashlib.sha256(content).hexdigest()


def stamp(paths: Collection[str]) -> tuple[str, ...]:
    """A text that changes when one of the files is replaced, written, or gets another owner."""
    found = []
    for path in paths:
        try:
            status = os.stat(path)
            found.append(f"{path}:{status.st_ino}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_size}")
        except OSError:
            found.append(path)
    return tuple(found)


def identify(path: str) -> tuple[int, int] | None:
    """The identity of a file; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_read_only(path: str) -> bool:
    """Whether a file is on a file system that takes no writes. False where that can't be known. Asked by opening, since
    one that ext4 made read-only after an error is not shown as such by statvfs (measured on Linux 6.18.44)."""
    try:
        os.close(os.open(path, os.O_WRONLY))
    except OSError as error:
        return error.errno == errno.EROFS
    return False


def ensure_private_dir(path: str) -> None:
    """Make `path` a folder of this user with mode 0700. Raises MachineError where it belongs to another user."""
    with explain_os_errors(path, "create"):
        os.makedirs(path, mode=DIR_MODE, exist_ok=True)
        status = os.stat(path)
    if status.st_uid != os.geteuid():
        owner = user_name(status.st_uid)
        hints = [f"run lkhub as {owner}", "or choose another folder with --state DIR"]
        if os.geteuid() == 0:
            hints.append(f"or `chown -R root: {shlex.quote(path)}`, where no hub of {owner}'s uses it any more")
        raise MachineError(f"{path} belongs to {owner}, and this is {user_name(os.geteuid())}", hints=tuple(hints))
    if status.st_mode & 0o077:
        with explain_os_errors(path, "protect"):
            os.chmod(path, DIR_MODE)


def check_socket_path(path: str) -> None:
    """Raise MachineError where the system can't open a socket with so long a name."""
    surplus = len(os.fsencode(path)) - MAX_SOCKET_PATH
    if surplus > 0:
        count = "1 character" if surplus == 1 else f"{surplus} characters"
        raise MachineError(
            f"the state directory's path is {count} too long for a socket: {path}",
            hints=("choose a shorter one with --state DIR",),
        )


def write_private(
    path: str, text: str, mode: int = FILE_MODE, owner: tuple[int, int] | None = None, place: str = STATE_PLACE
) -> bool:
    """Write `text` to `path` in one step, readable by this user alone. False where the file had this text already. Root
    may leave a new file to another `owner` (uid, gid). `place` as of `explain_os_errors`."""
    with contextlib.suppress(OSError, MachineError):
        status = os.stat(path)
        is_theirs = owner is None or (status.st_uid, status.st_gid) == owner
        if read_text(path, place) == text and status.st_mode & 0o777 == mode and is_theirs:
            return False
    with _written_beside(path, text, mode, owner, place) as temporary:
        os.replace(temporary, path)
    return True


def keep_names(folders: Iterable[str]) -> None:
    """Wait until the files that were written in these folders have their names also after a power cut: what they hold
    is on the disk before."""
    for folder in folders:
        with explain_os_errors(folder, "write in"):
            sync_folder(folder)


def create_private(path: str, text: str) -> bool:
    """Write `text` to `path` in one step where nothing is there yet, for good; whether it was written. If several
    processes do this at once, only one succeeds."""
    with _written_beside(path, text, FILE_MODE) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links: of commands at the same time, both write
            if os.path.exists(path):
                return False
            os.replace(temporary, path)
    keep_names([os.path.dirname(path)])
    return True


@contextlib.contextmanager
def _written_beside(
    path: str, text: str, mode: int, owner: tuple[int, int] | None = None, place: str = STATE_PLACE
) -> Iterator[str]:
    """A new file with this text in the folder of `path`; afterwards it is removed, unless it was renamed."""
    temporary = None
    try:
        with explain_os_errors(path, "write", place):
            handle, temporary = make_half_written(path)
            with os.fdopen(handle, "w") as file:
                file.write(text)
                file.flush()
                if owner:
                    os.fchown(file.fileno(), *owner)
                # Not by its name, under which the folder's owner may have put a link meanwhile.
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
                # Open, and so locked, until it has its name.
                yield temporary
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def require_room(folder: str) -> None:
    """Raise MachineError where a folder takes no more than a few megabytes, which may be why another program failed
    there."""
    with explain_os_errors(folder, "write in", FIXED_PLACE), tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_ROOM_BYTES))


def open_lock(path: str) -> int:
    """A descriptor of a lock file, which is made if it is missing. Raises OSError."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        # `lkhub down` must still end what runs there, and a running hub must still renew port mappings.
        if error.errno != errno.EROFS or not os.path.exists(path):
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


class NotTextError(MachineError):
    """A file is no text."""


def read_text(path: str, place: str = STATE_PLACE) -> str | None:
    """The text of a file, None where it does not exist. Raises NotTextError for what is no text, and MachineError;
    `place` as of `explain_os_errors`."""
    content, unfit = _read_regular(path, place)
    try:
        text = None if content is None else io.TextIOWrapper(io.BytesIO(content), "utf-8").read()
    except UnicodeDecodeError:
        unfit = "not text"
    if unfit:
        raise NotTextError(f"{path} is damaged: {unfit}", hints=("remove it and run `lkhub up`",))
    return text


def read_bytes(path: str, place: str) -> bytes | None:
    """What is in a file that may be no text, None where it does not exist. Raises MachineError; `place` as of
    `explain_os_errors`."""
    content, unfit = _read_regular(path, place)
    if unfit:
        raise MachineError(f"{path} is {unfit}", hints=("move it away, and try again",))
    return content


def _read_regular(path: str, place: str) -> tuple[bytes | None, str]:
    """What is in a file, None where it does not exist, and why it is not read: a pipe or a device may have no end, and
    the state directory may belong to another user."""
    with explain_os_errors(path, "read", place):
        try:
            with open(path, "rb", opener=_open_at_once) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return None, "not a regular file"
                content = file.read(MAX_TEXT_BYTES + 1)
        except FileNotFoundError:
            return None, ""
    return (content, "") if len(content) <= MAX_TEXT_BYTES else (None, "too long")


def _open_at_once(path: str, flags: int) -> int:
    """Open a file; a pipe would otherwise be waited for until another program writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_input(path: str, limit: int = MAX_INPUT_BYTES) -> bytes:
    """A file that the user named. Raises InputError where it can't be read or is larger than `limit`."""
    try:
        with open(path, "rb") as file:
            raw = file.read(limit + 1)
    except ValueError:
        raise InputError(f"{path!r} is not the name of a file") from None
    except OSError as error:
        raise InputError(f"can't read {path}: {(error.strerror or str(error)).lower()}") from error
    if len(raw) > limit:
        raise InputError(f"{path} is over {limit:,} bytes", hints=("is this the right file?",))
    return raw


def require_own_links(path: str) -> None:
    """Raise InputError for a link on the way to a new file that another user has put into a folder where everybody may
    write, such as /tmp. As fs.protected_symlinks does, which knows nothing of a file that is written beside its place.
    """
    path = os.path.abspath(path)
    for each in (path, *map(str, Path(path).parents)):
        if not os.path.islink(each):
            continue
        folder, link = os.stat(os.path.dirname(each)), os.lstat(each)
        is_for_all = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
        if is_for_all and link.st_uid not in (os.geteuid(), folder.st_uid):
            raise InputError(
                f"{each} is a link that {user_name(link.st_uid)} has made to {printable(os.readlink(each))}",
                hints=("name another place, in a folder of your own",),
            )


def remove(path: str, place: str = STATE_PLACE) -> None:
    """Remove a file if it is there. Raises MachineError; `place` as of `explain_os_errors`."""
    with explain_os_errors(path, "remove", place), contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def sync_folder(path: str) -> None:
    """Wait until the names in a folder are on the disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def list_files(folder: str) -> list[str]:
    """The paths of what is in a folder, but of no folders in it; none where it is missing. Raises MachineError."""
    with explain_os_errors(folder, "read"), contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        return sorted(entry.path for entry in entries if not entry.is_dir(follow_symlinks=False))
    return []


def remove_others(folder: str, kept: Collection[str]) -> None:
    """Remove the files of a folder whose paths are not among `kept`."""
    for path in list_files(folder):
        if path not in kept:
            remove(path)


def read_tail(path: str, lines: int, *, end: int | None = None, limit: int = 64 * 1024) -> list[str]:
    """The last `lines` lines of a log up to byte `end` (None: its end); [] where there is no log. Raises MachineError
    where it can't be read.

    No more than the last `limit` bytes are read.
    """
    with explain_os_errors(path, "read"):
        try:
            with open(path, "rb", opener=_open_at_once) as file:
                size = file.seek(0, os.SEEK_END) if end is None else end
                start = max(0, size - limit)
                file.seek(start)
                text = file.read(size - start).decode(errors="replace")
        except FileNotFoundError:
            return []
    return text.splitlines()[-lines:]


def user_name(uid: int) -> str:
    """The name of a user for people; `user 1234` where the system knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
