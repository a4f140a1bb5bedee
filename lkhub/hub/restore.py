"""Puts a backup in place: `lkhub restore`.

A backup is unpacked and judged whole in a folder of the state directory. Then a record is written, and from that moment
on the new hub is the one that counts: what is left to do is to rename, and whoever finds the record goes on with it.
Before that moment, nothing of the hub that was there has changed.
"""

import contextlib
import itertools
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import lkhub
from lkhub.errors import InputError, MachineError
from lkhub.host.acting import acting_as_owner
from lkhub.host.archive import MANIFEST, ArchiveReader
from lkhub.host.as_root import as_root
from lkhub.host.files import (
    DIR_MODE,
    FILE_MODE,
    ensure_private_dir,
    explain_os_errors,
    keep_names,
    read_input,
    remove,
    require_own_links,
    require_space,
    sync_folder,
)
from lkhub.host.lock import hold_lock
from lkhub.host.sealed import BEGIN_BYTES, MAGIC, SealKeys, decrypting, require_passphrase_opens
from lkhub.host.state_directory import remove_half_written
from lkhub.host.system_user import find_group, has_user
from lkhub.host.systemd import runs_machine
from lkhub.host.trees import list_tree
from lkhub.hub.locate import DEFAULT_SPEC, find_own_service, find_service
from lkhub.hub.running import find_left, is_running
from lkhub.plan.paths import BACKED_UP, OF_THE_MACHINE, STATE_NAMES, StatePaths
from lkhub.plan.service import FOLDER_MODE, SPEC_MODE, SYSTEM
from lkhub.state.backup import SPEC as IN_SPEC
from lkhub.state.backup import STATE as IN_STATE
from lkhub.state.backup import Manifest, parse_manifest
from lkhub.state.restore import RestoreRecord, read_restore, require_restored, write_restore

# Files are written beside their places with this ending, and those that were there are kept with the other.
_NEW, _BEFORE = ".restored", ".before"


@dataclass(frozen=True)
class Restored:
    """What was restored. `spec` is where the spec is now, "" for a hub without one, and `aside` the folder with what
    was in the state directory before, "" where nothing was."""

    manifest: Manifest
    spec: str
    aside: str


def restore_backup(paths: StatePaths, given: Path | None, file: str, keys: SealKeys, *, force: bool) -> Restored:
    """Put the backup in `file` in place. `given` is where its spec goes: by default to where `lkhub install` has it if
    the hub was a service, else to hub.yaml in the current folder. `force`: keep the hub that is there aside. Raises
    HubError, and then nothing was changed."""
    require_restorable(paths, file, force=force, with_key=bool(keys.identities))
    with _open_backup(file) as source, _state_directory(paths), _prepared_folder(paths):
        manifest = _unpack(paths, source, keys)
        targets = _find_targets(paths, manifest, given)
        for target in targets.values():
            require_own_links(target)
        with acting_as_owner(paths.root):
            contents = {target: read_input(f"{paths.restoring}/{path}") for path, target in targets.items()}
        with _placed_beside(paths, contents, force=force) as placed, acting_as_owner(paths.root):
            record = RestoreRecord(tuple(_list_names(paths)), _name_aside(paths), placed)
            # From here on the new hub counts.
            write_restore(paths, record)
            keep_names([paths.root])
        _finish(paths, record)
    spec = targets.get(f"{IN_SPEC}{manifest.spec}", "")
    return Restored(manifest, spec, record.aside if os.path.isdir(record.aside) else "")


def require_restorable(paths: StatePaths, file: str, *, force: bool, with_key: bool) -> None:
    """Raise HubError where the backup can't be put in place, as far as can be seen without the passphrase, or the key:
    `with_key`. A restore that was killed is gone on with before."""
    with _open_backup(file) as source:
        if not with_key:
            require_passphrase_opens(source.read(BEGIN_BYTES))
    # A damaged record stays until there is another one: what is there is of two hubs.
    if not force or read_restore(paths) is not None:
        finish_restore(paths)
    _require_stopped(paths)
    if not force and (found := _find_hub(paths)):
        raise InputError(
            f"{paths.root} has a hub already: {found} is there",
            hints=("--force puts the backup in its place, and keeps it aside", "--state DIR names another folder"),
        )


def finish_restore(paths: StatePaths) -> None:
    """Go on with a restore that was killed while it put the new hub in place. Does nothing where there is none. Raises
    MachineError where this user can't."""
    if not os.path.lexists(paths.restore_record):
        return
    with _state_directory(paths):
        with acting_as_owner(paths.root):
            record = read_restore(paths)
        if record is not None:
            _finish(paths, record)
        else:
            require_restored(paths)  # another process may have finished it meanwhile


def _require_stopped(paths: StatePaths) -> None:
    if not os.path.isdir(paths.root) or not (is_running(paths) or find_left(paths)):
        return
    service = find_service(paths)
    stop = f"{service.systemctl} stop lkhub" if service and runs_machine() else "lkhub down"
    raise InputError(f"a hub runs in {paths.root}", hints=(f"`{stop}` stops it; then restore",))


def _find_hub(paths: StatePaths) -> str:
    """A file of a hub in the state directory; "" where there is none."""
    marks = sorted(BACKED_UP | {os.path.basename(paths.keys)})
    return next((name for name in marks if os.path.lexists(f"{paths.root}/{name}")), "")


@contextlib.contextmanager
def _open_backup(file: str) -> Iterator[IO[bytes]]:
    with contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(open(file, "rb", buffering=0))
            begin = source.read(_LOOK_BYTES)
            source.seek(0)
        except OSError as error:
            raise InputError(f"can't read {file}: {(error.strerror or str(error)).lower()}") from error
        if not begin.startswith(MAGIC):
            written = "name the file that `lkhub backup` has written, as it was written"
            raise InputError(f"{file} is no backup: {_describe_other(begin)}", hints=(written,))
        yield source


def _describe_other(begin: bytes) -> str:
    """What a file is that begins so and is no backup, as far as that shows."""
    for magic, kind in _OTHERS.items():
        if begin.startswith(magic):
            return kind
    if not begin:
        return "it is empty"
    # A text of UTF-8 may be cut off in a character.
    text = begin.decode(errors="ignore")
    if len(text.encode()) > len(begin) - 4 and all(each.isprintable() or each.isspace() for each in text):
        return "it is a text, which nothing has encrypted"
    return "it does not begin as a file of age does"


# More than the beginnings below have.
_LOOK_BYTES = 64

_OTHERS = {
    b"\x1f\x8b": "it is compressed, by gzip",
    b"\x28\xb5\x2f\xfd": "it is compressed, by zstd",
    b"\xfd7zXZ\0": "it is compressed, by xz",
    b"PK\3\4": "it is an archive of zip",
    b"SQLite format 3\0": "it is a database of SQLite",
    MANIFEST.encode() + b"\0": "it is an archive that is not encrypted, perhaps a backup that age has decrypted",
}
"""How files begin that may be taken for a backup, and what they are."""


@contextlib.contextmanager
def _state_directory(paths: StatePaths) -> Iterator[None]:
    """The state directory, made if it is missing, and held by this process alone."""
    made = not os.path.lexists(paths.root)
    if made:
        ensure_private_dir(paths.root)
    with contextlib.ExitStack() as stack:
        try:
            with acting_as_owner(paths.root):
                stack.enter_context(hold_lock(paths))
            yield
        except BaseException:
            if made and not os.path.lexists(paths.restore_record):
                shutil.rmtree(paths.root, ignore_errors=True)
            raise


@contextlib.contextmanager
def _prepared_folder(paths: StatePaths) -> Iterator[None]:
    """An empty folder to unpack into. It is removed if an error comes before the record is written. What processes were
    writing here when they were killed is removed first. What a restore with a damaged record has unpacked is put
    aside, and comes back with an error."""
    kept = ""
    with acting_as_owner(paths.root), explain_os_errors(paths.root, "write in"):
        remove_half_written(paths.root)
        if os.path.lexists(paths.restore_record) and os.path.isdir(paths.restoring):
            kept = f"{_name_aside(paths)}/{os.path.basename(paths.restoring)}"
            os.makedirs(os.path.dirname(kept), mode=DIR_MODE)
            os.rename(paths.restoring, kept)
        shutil.rmtree(paths.restoring, ignore_errors=True)
        ensure_private_dir(paths.restoring)
    try:
        yield
    except BaseException:
        if read_restore(paths) is None:
            with acting_as_owner(paths.root):
                shutil.rmtree(paths.restoring, ignore_errors=True)
                if kept:
                    os.rename(kept, paths.restoring)
        raise


def _unpack(paths: StatePaths, source: IO[bytes], keys: SealKeys) -> Manifest:
    with decrypting(source.fileno(), keys) as pipe:
        reader = ArchiveReader(pipe)
        manifest = parse_manifest(reader.read_manifest(), lkhub.__version__)
        require_space(paths.root, manifest.size, "the backup", "or name another folder with --state DIR")
        with acting_as_owner(paths.root), explain_os_errors(paths.root, "write in"):
            os.mkdir(f"{paths.restoring}/{IN_STATE}")
            for file in manifest.files:
                reader.unpack(file.path, file.size, file.sha256, f"{paths.restoring}/{file.path}")
            reader.finish()
            for path in (paths.restoring, *list_tree(paths.restoring)):
                if os.path.isdir(path):
                    sync_folder(path)
    return manifest


def _find_targets(paths: StatePaths, manifest: Manifest, given: Path | None) -> dict[str, str]:
    """Where the spec and the files beside it go, by their paths in the backup."""
    if not manifest.spec:
        return {}
    own = find_own_service()
    is_own = manifest.service and own.installation.state == paths.root
    spec = os.path.abspath(given or (own.spec if is_own else DEFAULT_SPEC))
    folder = os.path.dirname(spec)
    names = [file.path.removeprefix(IN_SPEC) for file in manifest.files if file.path.startswith(IN_SPEC)]
    return {f"{IN_SPEC}{name}": spec if name == manifest.spec else f"{folder}/{name}" for name in names}


@contextlib.contextmanager
def _placed_beside(paths: StatePaths, contents: Mapping[str, bytes], *, force: bool) -> Iterator[tuple[str, ...]]:
    """Write each file beside its place, unless the same one is there already, and yield the places of those. What was
    written is removed if an error comes before the record is written."""
    different = {target: content for target, content in contents.items() if _read(target) != content}
    for target in different:
        if os.path.lexists(target) and not force:
            hints = (f"--force keeps it as {target}{_BEFORE}", "--spec FILE names another place for the spec")
            raise InputError(f"{target} is there, and differs from the one in the backup", hints=hints)
    try:
        for target in contents.keys() - different.keys():
            if os.path.lexists(f"{target}{_NEW}"):  # of a restore that was killed
                remove(f"{target}{_NEW}", "with --spec FILE")
        for target, content in different.items():
            _place_beside(target, content)
        yield tuple(different)
    except BaseException:
        if read_restore(paths) is None:
            for target in different:
                with contextlib.suppress(OSError):
                    os.unlink(f"{target}{_NEW}")
        raise


def _place_beside(target: str, content: bytes) -> None:
    mode, owner = FILE_MODE, None
    with explain_os_errors(target, "write", "with --spec FILE"):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        user = SYSTEM.installation.user
        if target == SYSTEM.spec and has_user(user):
            mode, owner = SPEC_MODE, (0, find_group(user))
            os.chown(SYSTEM.folder, *owner)
            os.chmod(SYSTEM.folder, FOLDER_MODE)
        _write(f"{target}{_NEW}", content, mode, owner)


def _read(path: str) -> bytes | None:
    return read_input(path) if os.path.exists(path) else None


def _write(path: str, content: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE), "wb") as file:
        if owner:
            os.fchown(file.fileno(), *owner)
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _list_names(paths: StatePaths) -> list[str]:
    return sorted(os.listdir(f"{paths.restoring}/{IN_STATE}"))


def _name_aside(paths: StatePaths) -> str:
    return _find_free(f"{paths.before_restore}/{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")


def _find_free(name: str) -> str:
    """The name, with a number where it is taken."""
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([name], numbered) if not os.path.lexists(each))


def _finish(paths: StatePaths, record: RestoreRecord) -> None:
    """Rename what the record says. Whatever of it is done already is left as it is."""
    with acting_as_owner(paths.root), explain_os_errors(paths.root, "write in"):
        _move_state(paths, record)
    for target in record.spec:
        _move_spec(target)
    with acting_as_owner(paths.root), explain_os_errors(paths.root, "write in"):
        sync_folder(paths.root)
        shutil.rmtree(paths.restoring, ignore_errors=True)
        remove(paths.restore_record)


def _move_state(paths: StatePaths, record: RestoreRecord) -> None:
    new = {name: f"{paths.restoring}/{IN_STATE}{name}" for name in record.names}
    for name in STATE_NAMES - OF_THE_MACHINE:
        here = f"{paths.root}/{name}"
        is_new = name in new and not os.path.lexists(new[name])
        if os.path.lexists(here) and not is_new:
            os.makedirs(record.aside, mode=DIR_MODE, exist_ok=True)
            # One that is there is of the hub that was here first; this one was made since.
            os.rename(here, _find_free(f"{record.aside}/{name}"))
    for name, prepared in new.items():
        if os.path.lexists(prepared):
            os.rename(prepared, f"{paths.root}/{name}")


def _move_spec(target: str) -> None:
    """The record may have been written by the hub's user: root renames only what root has written."""
    prepared = f"{target}{_NEW}"
    try:
        status = os.lstat(prepared)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _describe_unfinished(target) from error
    if status.st_uid != os.geteuid() or not stat.S_ISREG(status.st_mode):
        if os.geteuid() == 0:
            return
        raise _describe_unfinished(target)
    with explain_os_errors(target, "write", "with --spec FILE"):
        if os.path.lexists(target):
            os.replace(target, f"{target}{_BEFORE}")
        os.replace(prepared, target)
        sync_folder(os.path.dirname(target))


def _describe_unfinished(target: str) -> MachineError:
    return MachineError(
        f"a restore was interrupted before it had put {target} in place, and this user can't",
        hints=(f"`{as_root('install')}` goes on with it",),
    )
