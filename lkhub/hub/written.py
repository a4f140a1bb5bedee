"""Writes the hub's URL and key into files of applications, and follows with a new key to the files on record."""

import contextlib
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from lkhub.env_files.edit_error import EditError
from lkhub.env_files.formats import FORMATS, FileFormat, FormatName
from lkhub.errors import HubError, InputError
from lkhub.host.app_file import AppFile, ForbiddenFileError, MissingFolderError, read_app_file, replace_app_file
from lkhub.host.as_root import as_root
from lkhub.host.files import DIR_MODE, FILE_MODE, explain_os_errors, user_name
from lkhub.host.keyfile import load_keys
from lkhub.hub.applied import require_applied
from lkhub.hub.locate import name_state
from lkhub.hub.recording import recording
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret
from lkhub.source.json_text import Json
from lkhub.state.written import WrittenFile, read_written, write_written

# What Next.js and Vite read after `.env`, so that it counts instead: for everyone's own machine, and for one mode.
_OVERRIDING = ("local", *(f"{mode}{own}" for mode in ("development", "production", "test") for own in ("", ".local")))


@dataclass(frozen=True)
class Written:
    """What `write` did with the file at `path`, where all links lead. `changed` are the names whose values were not the
    hub's before. `backup` is the file with the text before; None if nothing has changed or the file is new."""

    path: str
    owner: str
    mode: int
    changed: tuple[str, ...]
    backup: str | None


@dataclass(frozen=True)
class Rewritten:
    """What `rewrite` did with a file. `updated`: it has the new key. `gone` and `changed`: the file does not exist, or
    somebody has put another key into it or given it to another user; it was left alone and is no longer on record.
    `forbidden` and `failed`: this user may not write it, or it could not be; it stays on record. `detail` says why,
    and `command` is what to type instead, "" for none."""

    path: str
    outcome: Literal["updated", "gone", "changed", "forbidden", "failed"]
    detail: str = ""
    command: str = ""


def write(paths: StatePaths, path: str, format: FormatName, now: float) -> Written:
    """Write what an application needs into the file at `path`, which is made if it is missing, and remember the file.
    Raises InputError if the file can't be edited, and MachineError."""
    url = require_applied(paths).urls.livekit
    with recording(paths):
        # In here: a rotation meanwhile would pass by the file, and an older key would be written over its new one.
        key, secret = next(iter(load_keys(paths.keys).items()))
        values = FORMATS[format].describe(url, key, secret)
        others = tuple(file for file in read_written(paths) if file.path != os.path.abspath(path))
        file = read_app_file(path)
        before = file.content or b""
        try:
            changed = tuple(name for name in values if not _has(FORMATS[format], before, name, values[name]))
            content = FORMATS[format].edit_bytes(before, values)
        except EditError as error:
            raise InputError(f"{_place(path, error)}: {error.message}") from None
        backup = None
        if content != file.content:
            backup = _back_up(paths, file)
            replace_app_file(file, content)
        written = WrittenFile(os.path.abspath(path), format, file.uid, file.gid, key, now)
        write_written(paths, (*others, written))
    return Written(file.path, user_name(file.uid), file.mode, changed, backup)


def find_overriding(path: str, names: Iterable[str]) -> tuple[str, ...]:
    """The files beside a `.env` that give one of these variables another value, which Next.js and Vite prefer."""
    folder, name = os.path.split(path)
    if name != ".env":
        return ()
    own = _read_file(path)
    found = []
    for other in (os.path.join(folder, f".env.{suffix}") for suffix in _OVERRIDING):
        with contextlib.suppress(HubError, EditError):
            content = _read_file(other)
            if any(set(_read(content, each)) - set(_read(own, each)) for each in names):
                found.append(other)
    return tuple(found)


def _read_file(path: str) -> bytes:
    return read_app_file(path).content or b""


def _read(content: bytes, name: str) -> tuple[Json, ...]:
    return FORMATS["dotenv"].read_bytes(content, name)


def rewrite(paths: StatePaths, now: float) -> tuple[Rewritten, ...]:
    """Put the current key into every file on record that still has one of the hub's keys. Raises MachineError if the
    keys or the record can't be read, or the record can't be written; what fails about a file is in its result."""
    with recording(paths):
        files = read_written(paths)
        own = load_keys(paths.keys)
        # In here: of two rotations at once, the one that comes last would write the key that it made first.
        key, secret = next(iter(own.items()))
        results, kept = [], []
        for file in files:
            result = _rewrite(paths, file, (*own, file.key), key, secret)
            results.append(result)
            if result.outcome == "updated":
                kept.append(WrittenFile(file.path, file.format, file.uid, file.gid, key, now))
            elif result.outcome in ("forbidden", "failed"):
                kept.append(file)
        if tuple(kept) != files:
            write_written(paths, tuple(kept))
    return tuple(results)


def _rewrite(paths: StatePaths, written: WrittenFile, own: tuple[str, ...], key: str, secret: Secret) -> Rewritten:
    again = ["env", "--write", written.path, *(("--format", written.format) if written.format != "dotenv" else ())]
    command = f"lkhub {shlex.join(again)}{name_state(paths)}"
    format = FORMATS[written.format]
    try:
        file = read_app_file(written.path)
        if file.content is None:
            return Rewritten(written.path, "gone", "the file does not exist", command)
        if file.uid != written.uid:
            detail = f"the file belonged to {user_name(written.uid)} and now belongs to {user_name(file.uid)}"
            return Rewritten(written.path, "changed", detail, command)
        found = format.read_bytes(file.content, format.key_name)
        if not found or not all(each in own for each in found):
            return Rewritten(written.path, "changed", f"its {format.key_name} is none of this hub's keys", command)
        content = format.edit_bytes(file.content, format.describe_key(key, secret))
        if content != file.content:
            replace_app_file(file, content)
    except MissingFolderError as error:
        return Rewritten(written.path, "gone", error.message, command)
    except EditError as error:
        return Rewritten(written.path, "failed", f"{_place(written.path, error)}: {error.message}", command)
    except ForbiddenFileError as error:
        hint = as_root(*again, "--state", paths.root) if os.geteuid() else ""
        return Rewritten(written.path, "forbidden", "; ".join((error.message, *error.hints)), hint)
    except HubError as error:
        return Rewritten(written.path, "failed", error.message, command)
    return Rewritten(written.path, "updated")


def _has(format: FileFormat, content: bytes, name: str, value: Json) -> bool:
    """Whether the file gives this value to a name, and no other."""
    found = format.read_bytes(content, name) if content.strip() else ()
    return bool(found) and all(each == value for each in found)


def _place(path: str, error: EditError) -> str:
    return f"{path}:{error.line}" if error.line else path


def _back_up(paths: StatePaths, file: AppFile) -> str | None:
    """Keep what is in a file. Not beside it: the backup has every secret of the application, and what keeps the file
    out of a repository, an image or a web site need not know the backup's name."""
    if file.content is None:
        return None
    _ensure_backups(paths)
    name = f"{os.path.basename(file.path)[:100]}.{sha256(os.fsencode(file.path)).hexdigest()[:12]}"
    # Links lead to the state directory alone: in it, its owner may have put one to a folder of root's.
    folder = os.path.join(os.path.realpath(paths.root), os.path.relpath(paths.backups, paths.root))
    replace_app_file(AppFile(os.path.join(folder, name), None, os.geteuid(), os.getegid(), FILE_MODE), file.content)
    return os.path.join(paths.backups, name)


def _ensure_backups(paths: StatePaths) -> None:
    """Make the folder of backups. Root leaves it to the owner of the state directory, but not the files in it."""
    with explain_os_errors(paths.backups, "create"), contextlib.suppress(FileExistsError):
        os.mkdir(paths.backups, DIR_MODE)
        if os.geteuid() == 0:
            owner = os.stat(paths.root)
            os.chown(paths.backups, owner.st_uid, owner.st_gid, follow_symlinks=False)
