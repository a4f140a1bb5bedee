"""The project of a web site that is built, or of an agent: a digest of its files, and a copy of them."""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from lkhub.errors import MachineError
from lkhub.host.files import explain_os_errors, user_name
from lkhub.host.link_makers import opened_of_others
from lkhub.host.trees import list_tree, opened, remove_tree
from lkhub.shown import escape

# Folders of downloaded packages. They follow from the lock file beside them, and have ten thousands of files.
DOWNLOADED = frozenset({"node_modules"})

# A project with more files than this, packages not counted, is none: `project` is a home folder, or `/`.
MOST_FILES = 20_000

# A project or a site with folders deeper than this is none. Python can't go through them where there are a thousand.
MOST_LEVELS = 64

_TOO_DEEP = f"folders in folders, more than {MOST_LEVELS} deep"

_PART_BYTES = 1 << 20

# The files of a project are read at each `up`, and a build that ran away would fill the disk of the hub.
MOST_BYTES = 1 << 30

# Of a copy with its packages. One that is larger is a mistake, or is meant to fill the disk of the hub.
MOST_COPIED_FILES = 1_000_000
MOST_COPIED_BYTES = 10 << 30

# The owner of a file may have put a link in its place since it was looked at, or a pipe that would be waited for.
_NO_LINK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def find_missing(folder: str) -> str:
    """Why a folder can't be used, "" where it is there. Raises MachineError where rights are missing: it may be there
    then."""
    try:
        is_folder = stat.S_ISDIR(os.stat(folder).st_mode)
    except PermissionError as error:
        raise explain(error, "read", folder) from error
    except FileNotFoundError:
        return "there is no such folder" + (", and ~ is not expanded" if "~" in folder.split(os.sep) else "")
    except OSError as error:
        return describe_refusal(error, folder)
    return "" if is_folder else "it is not a folder"


def describe_refusal(error: OSError, folder: str) -> str:
    """Why the system refused something in a folder, which the caller names."""
    reason, name = (error.strerror or str(error)).lower(), _name_of(error)
    return reason if name in ("", folder) else f"{escape(name)}: {reason}"


def _name_of(error: OSError) -> str:
    """The name of the file that an error is about; "" where it has none, or has the number of a descriptor instead."""
    return error.filename if isinstance(error.filename, str) else ""


def judge_project(project: str, skipped: Collection[str] = (), without: Collection[str] = ()) -> str:
    """Why this folder can't be a project, "" where it can. `skipped` are absolute paths that are no part of it, and
    `without` names that are none, wherever they are in it. Raises MachineError where rights are missing to tell."""
    if missing := find_missing(project):
        return missing
    files = bytes_ = 0
    try:
        with opened_of_others(project):
            pass
        for path in list_files(project, skipped, without):
            files, bytes_ = files + 1, bytes_ + os.lstat(path).st_size
            if files > MOST_FILES or bytes_ > MOST_BYTES:
                return f"it has more than {MOST_FILES:,} files, or more than {MOST_BYTES >> 30} GB"
    except PermissionError as error:
        raise explain(error, "read", project) from error
    except OSError as error:
        return describe_refusal(error, project)
    return ""


def find_link_out(project: str, without: Collection[str] = ()) -> str | None:
    """A relative link that leads out of the project, and would lead nowhere in a copy of it. Raises MachineError."""
    try:
        for path in list_files(project, (), without):
            if os.path.islink(path) and not os.path.isabs(target := os.readlink(path)):
                inside = os.path.normpath(os.path.join(os.path.dirname(os.path.relpath(path, project)), target))
                if inside.split(os.sep)[0] == os.pardir:
                    return path
    except OSError as error:
        raise explain(error, "read", project) from error
    return None


def digest_project(project: str, skipped: Collection[str] = (), without: Collection[str] = ()) -> str:
    """A digest of the names and contents of a project's files; see `judge_project`. Of a link, its text is read, and
    never what it leads to, which may be a file that only root may read: also where the owner of the project puts a link
    in the place of a folder meanwhile. Raises MachineError."""
    whole, left, reads = hashlib.sha256(), MOST_BYTES, project
    try:
        with opened_of_others(project) as source:
            for path in list_files(project, skipped, without):
                reads = path
                name = os.path.relpath(path, project)
                with opened(os.path.dirname(name), source) as folder:
                    digest, size = _digest_file(os.path.basename(name), folder)
                whole.update(name.encode(errors="surrogateescape") + b"\0" + digest)
                left -= size
                if left < 0:
                    raise MachineError(f"{project} has more than {MOST_BYTES >> 30} GB")
    except OSError as error:
        raise explain(error, "read", reads) from error
    return whole.hexdigest()


def _digest_file(name: str, folder: int) -> tuple[bytes, int]:
    """A digest of a file or a link in an open folder, and how much was read for it: what the file had when it was
    opened. Its owner may make it longer meanwhile, for ever."""
    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        target = os.readlink(name, dir_fd=folder)
        return b"link" + hashlib.sha256(target.encode(errors="surrogateescape")).digest(), 0
    executable = b"x" if mode & 0o111 else b"-"
    digest = hashlib.sha256()
    with _opened_file(name, folder, name, None, None) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_BYTES:
            return b"", size
        for part in _read_parts(file, size):
            digest.update(part)
    return digest.digest() + executable, size


def explain(error: OSError, doing: str, path: str) -> MachineError:
    """What happened to a file of a project or a site, which its owner may change meanwhile: to the one that the error
    names by an absolute path, else to the one at `path`."""
    if os.path.isabs(name := _name_of(error)):
        path = name
    reason = "it was removed meanwhile" if error.errno == errno.ENOENT else (error.strerror or str(error)).lower()
    user = user_name(os.geteuid())
    fix = f"let {user} read it, and enter the folders that it is in; or move it elsewhere"
    hints = (fix,) if isinstance(error, PermissionError) else ()
    return MachineError(f"can't {doing} {escape(path)}: {reason}", hints=hints)


def find_in_project(project: str, paths: Iterable[str]) -> tuple[str, ...]:
    """Those of these absolute paths that are in a project, as its files are called when it is read, and what they lead
    to there: a folder above them, or above the project, may be a link."""
    real = os.path.realpath(project)
    found = []
    for path in paths:
        beside = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        for each in (beside, os.path.realpath(path)):
            within = os.path.relpath(each, real)
            if within.split(os.sep)[0] != os.pardir:
                found.append(os.path.join(project, within))
    return tuple(dict.fromkeys(found))


def copy_project(
    project: str, target: str, skipped: Collection[str] = (), without: Collection[str] = frozenset()
) -> None:
    """Copy a project with its packages into the new folder `target`; for `skipped` and `without` see `judge_project`.
    Links stay links. Raises MachineError.

    The owner of the project may change it meanwhile: no link is followed that is in it.
    """
    with explain_os_errors(project, "copy"), opened_of_others(project) as source:
        os.mkdir(target)
        left_out = {os.path.relpath(path, project) for path in skipped}
        _copy_tree(source, target, left_out, links=True, without=without)


def copy_opened(source: int, target: str) -> None:
    """Copy a project, whose folder is open, into the new folder `target`. Raises MachineError."""
    with explain_os_errors(target, "write"):
        os.mkdir(target)
        _copy_tree(source, target, (), links=True)


def own_tree(folder: str, uid: int, gid: int, without: str = "") -> None:
    """Give a private folder of ours with all that is in it, but for the file `without`, to another user. The folder
    itself comes last: as long as it is ours, no process of that user can enter it and put a link in place of what is
    still to be given, such as one to /etc. Raises MachineError."""
    with explain_os_errors(folder, "change"):
        for path in list_tree(folder):
            if path != without:
                os.lchown(path, uid, gid)
        os.lchown(folder, uid, gid)


def list_files(folder: str, skipped: Collection[str] = (), without: Collection[str] = ()) -> Iterator[str]:
    """The paths of a project's files and links, sorted; see `judge_project`. Sockets, pipes and devices are no part of
    a project. Raises OSError, also for folders that are too deep."""
    most = folder.count(os.sep) + MOST_LEVELS
    folders = [_list_sorted(folder)]
    while folders:
        for entry in folders[-1]:
            if entry.path in skipped or entry.name in without:
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.path.count(os.sep) > most:
                    raise OSError(errno.ELOOP, _TOO_DEEP, folder)
                folders.append(_list_sorted(entry.path))
                break
            if entry.is_symlink() or entry.is_file(follow_symlinks=False):
                yield entry.path
        else:
            folders.pop()


def _list_sorted(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        listed = list(islice(entries, MOST_FILES + 1))
    if len(listed) > MOST_FILES:
        raise OSError(errno.EFBIG, f"more than {MOST_FILES:,} files in one folder", folder)
    return iter(sorted(listed, key=lambda entry: entry.name))


def publish(scratch: int, output: str, folder: str, link: str, owner: int | None = None) -> None:
    """Copy the files that a build has made into the new folder `folder`, and lead `link` there at once. They are in
    `output`, a relative path, below the open folder `scratch`.

    The build may have been another user's (`owner` is its uid), whose processes may change what is there meanwhile: no
    link is followed, and no file of another user is read. Raises MachineError for what is no site.
    """
    with explain_os_errors(folder, "write"):
        os.makedirs(folder, mode=0o700)
        try:
            with opened(output, scratch) as source:
                _copy_tree(source, folder, (), links=False, owner=owner)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MachineError("the build made no folder where `root` is") from error
        if not Path(folder, "index.html").is_file():
            raise MachineError("the build made no index.html in `root`")
        os.sync()  # a power cut would leave the link, which is kept in any case, and files without their text
        beside = f"{link}.new"
        Path(beside).unlink(missing_ok=True)
        os.symlink(os.path.basename(folder), beside)
        os.replace(beside, link)


def _copy_tree(
    source: int,
    target: str,
    skipped: Collection[str],
    *,
    links: bool,
    owner: int | None = None,
    without: Collection[str] = (),
) -> None:
    """Copy what is below an open folder, except for the relative paths `skipped` and the names `without`. `links`: they
    stay links, and what is no file is left out; otherwise the two are a MachineError, and so are too many files and
    bytes. Folders that are too deep are one in either case: `judge_project` has not seen those of packages."""
    made = "the project has" if links else "the build made"
    most_files, most_bytes = (MOST_COPIED_FILES, MOST_COPIED_BYTES) if links else (MOST_FILES, MOST_BYTES)
    number, left = 0, most_bytes

    def copy_entry(name: str, at: int, path: str, folder_owner: int) -> None:
        nonlocal left
        mode = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode
        to = os.path.join(target, path)
        if stat.S_ISDIR(mode):
            if path.count(os.sep) >= MOST_LEVELS:
                raise MachineError(f"{made} {_TOO_DEEP}, in {escape(path.split(os.sep)[0])}")
            os.mkdir(to, 0o777 if links else 0o700)
            with _entered(name, at, path) as inner:
                copy_folder(inner, path)
        elif stat.S_ISREG(mode):
            with _opened_file(name, at, path, owner, folder_owner if links else None) as file:
                about = os.fstat(file.fileno())
                left -= about.st_size
                if left < 0:
                    raise MachineError(f"{made} more than {most_bytes >> 30} GB")
                _copy_file(file, about, to, 0o777 if links else 0o600)
        elif links and stat.S_ISLNK(mode):
            os.symlink(os.readlink(name, dir_fd=at), to)
        elif not links:
            raise MachineError(f"{made} {escape(path)}, which is no file, and a site has files alone")

    def copy_folder(at: int, folder: str) -> None:
        nonlocal number
        folder_owner = os.fstat(at).st_uid
        # One after the other: a list of the millions of names that a build may have made takes gigabytes.
        for entry in _scan(at, folder):
            path = os.path.join(folder, entry.name)
            if path in skipped or entry.name in without:
                continue
            number += 1
            if number > most_files:
                raise MachineError(f"{made} more than {most_files} files")
            try:
                copy_entry(entry.name, at, path, folder_owner)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                    raise  # of the copy
                raise explain(error, "copy", path) from error

    copy_folder(source, "")


def _scan(at: int, folder: str) -> Iterator[os.DirEntry[str]]:
    """What is in an open folder, which is called `folder` in a message."""
    try:
        with os.scandir(at) as entries:
            yield from entries
    except OSError as error:
        raise explain(error, "read", f"the folder {folder or '.'}") from error


@contextlib.contextmanager
def _entered(name: str, at: int, folder: str) -> Iterator[int]:
    try:
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    except OSError as error:
        raise explain(error, "read", f"the folder {folder or '.'}") from error
    try:
        yield inner
    finally:
        os.close(inner)


@contextlib.contextmanager
def _opened_file(name: str, at: int, path: str, owner: int | None, folder_owner: int | None) -> Iterator[BinaryIO]:
    """A file of the user `owner`; None: of any user. `folder_owner` is the user who could have put the file there."""
    handle = os.open(name, _NO_LINK, dir_fd=at)
    try:
        # Before Python makes a file of it, which refuses a folder and leaves that open.
        about = os.fstat(handle)
        if owner is None and not stat.S_ISREG(about.st_mode):
            raise MachineError(f"{escape(path)} was a file, and is none any more")
        if not stat.S_ISREG(about.st_mode) or owner not in (None, about.st_uid):
            raise MachineError(f"the build made {escape(path)}, which is not a file of its own")
        # The owner of a folder can rename what root keeps in it, and where the kernel allows it, give a name there to a
        # file of another user. Root would read it for them.
        foreign = folder_owner is not None and folder_owner not in (0, about.st_uid)
        if foreign and os.geteuid() == 0 and not about.st_mode & stat.S_IROTH:
            why = "its folder belongs to another user, and not everybody may read it"
            raise MachineError(f"can't copy {escape(path)}: {why}", hints=("give it to that user, or move it away",))
        with open(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def _copy_file(source: BinaryIO, about: os.stat_result, target: str, rights: int) -> None:
    """Copy as much as the file had when it was looked at. `rights` are those that the copy has at most."""
    with open(target, "xb") as copy:
        for part in _read_parts(source, about.st_size):
            copy.write(part)
        os.fchmod(copy.fileno(), stat.S_IMODE(about.st_mode) & rights)
    # Browsers are told this time, and a compressed file must not seem older than the file itself.
    os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))


def _read_parts(source: BinaryIO, size: int) -> Iterator[bytes]:
    """Read what a file has, and no more where somebody writes on meanwhile."""
    while size > 0 and (part := source.read(min(size, _PART_BYTES))):
        yield part
        size -= len(part)


def remove_left(sites: str, kept: Collection[str]) -> None:
    """Remove what is in the folder `sites` of sites that are not `kept`, by their names. What can't be removed stays
    until the next time."""
    with contextlib.suppress(OSError):
        for name in set(os.listdir(sites)) - set(kept):
            remove_tree(sites, name)
