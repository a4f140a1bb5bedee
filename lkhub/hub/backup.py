"""Puts all that makes a hub that hub into one encrypted file, while it runs or not: `lkhub backup`."""

import contextlib
import hashlib
import io
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn

import lkhub
from lkhub.errors import ANOTHER, InputError, MachineError
from lkhub.host.acting import acting_as_owner
from lkhub.host.archive import MANIFEST, ArchiveWriter
from lkhub.host.files import (
    MAX_TEXT_BYTES,
    digest,
    explain_os_errors,
    read_input,
    require_own_links,
    require_space,
    stamp,
    sync_folder,
)
from lkhub.host.half_written import make_half_written, remove_left
from lkhub.host.sealed import MAGIC, SealKeys, encrypting
from lkhub.host.snapshot import copied_beside
from lkhub.hub.locate import find_service, find_spec
from lkhub.plan.paths import BACKED_UP, StatePaths
from lkhub.plan.service import Service
from lkhub.plan.sites import project_of
from lkhub.secret import FromEnv, FromFile
from lkhub.shown import escape, printable
from lkhub.spec.load import load_spec
from lkhub.spec.model import Spec
from lkhub.spec.references import list_references
from lkhub.spec.sites import Site
from lkhub.spec.store import PostgresStore
from lkhub.state import backup as manifest_of
from lkhub.state.applied import load_applied
from lkhub.state.backup import BackedUpFile, Manifest, dump_manifest, is_plain, judge_files
from lkhub.state.restore import require_restored

# A key, its certificate and what Caddy notes of them are written one after the other, within milliseconds.
_SETTLE_TRIES, _SETTLE_SECONDS = 50, 0.1

_CHUNK = 1024 * 1024


@dataclass
class _Contents:
    """What goes into a backup: small files by their paths in it, and the copy of the store."""

    small: dict[str, bytes] = field(default_factory=dict)
    store: IO[bytes] | None = None
    left_out: list[str] = field(default_factory=list)

    def describe(self) -> tuple[BackedUpFile, ...]:
        small = [BackedUpFile(path, len(content), digest(content)) for path, content in sorted(self.small.items())]
        return (*small, *([_describe_store(self.store)] if self.store else []))


_STORE = f"{manifest_of.STATE}{StatePaths('').store[1:]}"


def require_backupable(paths: StatePaths, file: str) -> None:
    """Raise InputError where there is no hub, or nothing may be written to `file`; MachineError where a restore has not
    ended."""
    _require_place(file)
    require_restored(paths)
    _require_hub(paths)


def make_backup(paths: StatePaths, given: Path | None, file: str, keys: SealKeys) -> Manifest:
    """Write a backup of the hub to `file`, complete or not at all. `given` is the spec, None for the one in force.
    Raises HubError."""
    require_backupable(paths, file)
    service = find_service(paths)
    spec = _find_backed_spec(paths, given, service)
    if service and spec != service.spec:
        service = None
    with ExitStack() as stack:
        contents = _Contents()
        raw = _add_spec(contents, spec, service) if spec else b""
        loaded = load_spec(raw).spec
        if isinstance(loaded.store, PostgresStore):
            dump = f"pg_dump --format=custom --file=hub.dump '{loaded.store.url}'"
            contents.left_out.append(f"the store, which is a database of PostgreSQL: `{dump}` backs it up")
        with acting_as_owner(paths.root):
            contents.small |= _read_settled(paths)
            if stat.S_ISREG(_read_mode(paths.store)):
                contents.store = stack.enter_context(_copy_store(paths))
        applied = load_applied(paths)
        manifest = Manifest(
            format=manifest_of.FORMAT,
            lkhub=lkhub.__version__,
            made=time.time(),
            hub=applied.name if applied else loaded.name,
            files=contents.describe(),
            spec=os.path.basename(spec) if spec else "",
            spec_path=os.path.abspath(spec) if spec else "",
            service=service is not None,
            left_out=tuple(contents.left_out),
        )
        judge_files(manifest)
        # A link stays one: it may lead to another disk.
        _write(os.path.realpath(file), manifest, contents, keys)
    return manifest


def _require_place(file: str) -> None:
    """An earlier backup may be replaced, and nothing else: /dev/null would be a file from then on, and a pipe is never
    read to its end."""
    require_own_links(file)
    try:
        mode = os.stat(file).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise InputError(f"{file} is no file, and a backup would take its place", hints=("name a new file",))
        with open(file, "rb") as there:
            begin = there.read(max(map(len, MAGIC)))
    except FileNotFoundError:
        folder = os.path.dirname(os.path.realpath(file))
        if not os.path.isdir(folder):
            raise InputError(f"can't write {file}: there is no folder {folder}", hints=("make it first",)) from None
        return
    except OSError as error:
        raise InputError(f"can't write {file}: {(error.strerror or str(error)).lower()}") from None
    if begin and not begin.startswith(MAGIC):
        raise InputError(f"{file} is there, and is no backup", hints=("name a new file",))


def _require_hub(paths: StatePaths) -> None:
    with explain_os_errors(paths.root, "read"), contextlib.suppress(FileNotFoundError):
        os.listdir(paths.root)
    if not os.path.lexists(paths.managed_keys) and not os.path.lexists(paths.keys):
        raise InputError(f"there is no hub in {paths.root}", hints=(ANOTHER,))


def _find_backed_spec(paths: StatePaths, given: Path | None, service: Service | None) -> str | None:
    if given is not None:
        return str(given)
    if service:
        return service.spec
    applied = load_applied(paths)
    return applied.spec if applied else find_spec(None)


def _add_spec(contents: _Contents, spec: str, service: Service | None) -> bytes:
    """Add the spec, and the files beside it that it names. Returns the spec."""
    raw = read_input(spec)
    folder = os.path.dirname(os.path.abspath(spec))
    loaded = load_spec(raw, spec)
    found = loaded.spec
    if loaded.faults:
        first = printable(str(loaded.faults[0]))
        contents.left_out.append(f"perhaps files that the spec names: it has faults, such as {first}")
    references = [reference.source for reference in list_references(found)]
    named = [source.path for source in references if isinstance(source, FromFile)] + _list_certificates(found)
    variables = {source.name for source in references if isinstance(source, FromEnv)}
    contents.small[f"{manifest_of.SPEC}{os.path.basename(spec)}"] = raw
    for path in dict.fromkeys(named):
        full = os.path.normpath(os.path.join(folder, path))
        beside = os.path.relpath(full, folder)
        if is_plain(beside) and os.path.isfile(full):
            contents.small[f"{manifest_of.SPEC}{beside}"] = read_input(full)
        else:
            contents.left_out.append(f"{printable(full)}, which the spec names")
    if variables and service and os.access(service.environment, os.R_OK):
        name = os.path.relpath(service.environment, service.folder)
        contents.small[f"{manifest_of.SPEC}{name}"] = read_input(service.environment)
    elif variables:
        contents.left_out.append(f"the variables that the spec names: {', '.join(sorted(variables))}")
    contents.left_out += map(_describe_site, found.sites)
    contents.left_out += [
        f"the folder {printable(agent.project)}, the code of the agent {agent.name}"
        for agent in found.agents
        if agent.project
    ]
    if found.engine != "bundled":
        contents.left_out.append(f"the program {printable(found.engine)}, which the spec names")
    return raw


def _describe_site(site: Site) -> str:
    if site.build:
        return f"the folder {printable(project_of(site))}, which the site {site.name} is built from"
    return f"the folder {printable(site.root)}, the files of the site {site.name}"


def _list_certificates(spec: Spec) -> list[str]:
    return [path for path in (spec.tls.cert, spec.tls.key) if path]


def _read_settled(paths: StatePaths) -> Mapping[str, bytes]:
    """The small files of the state directory, as they are at one moment: none of them changes while they are read.
    Raises MachineError."""
    for _ in range(_SETTLE_TRIES):
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            names = [*_list_files(paths)]
            before = stamp(names)
            found = {f"{manifest_of.STATE}{os.path.relpath(name, paths.root)}": _read(name) for name in names}
            if [*_list_files(paths)] == names and stamp(names) == before:
                return found
        time.sleep(_SETTLE_SECONDS)
    raise MachineError(f"the files in {paths.root} change all the time", hints=("try again in a moment",))


def _list_files(paths: StatePaths) -> Iterator[str]:
    """Raises FileNotFoundError where a folder was removed meanwhile, and MachineError where something can't be read:
    a backup without it would look whole."""
    store, locks = paths.store, os.path.join(paths.caddy, "locks")
    for name in sorted(BACKED_UP):
        top = os.path.join(paths.root, name)
        if not stat.S_ISDIR(_read_mode(top)):
            # Not a link: the hub makes none, and it could lead anywhere.
            yield from [top] if top != store and _is_regular(top) else []
            continue
        for folder, folders, files in os.walk(top, onerror=_refuse):
            folders[:] = sorted(each for each in folders if os.path.join(folder, each) != locks)
            each = [os.path.join(folder, file) for file in sorted(files)]
            yield from (path for path in each if _is_regular(path))


def _refuse(error: OSError, path: str | None = None) -> NoReturn:
    """`path` is what could not be read. The system names it where it can't be opened, and not where the disk fails."""
    if isinstance(error, FileNotFoundError):
        raise error
    raise MachineError(
        f"can't read {escape(path or error.filename)}: {(error.strerror or str(error)).lower()}"
    ) from error


def _is_regular(path: str) -> bool:
    return stat.S_ISREG(_read_mode(path, follow_symlinks=False))


def _read_mode(path: str, *, follow_symlinks: bool = True) -> int:
    """0 where nothing is there. Raises MachineError where that can't be known."""
    try:
        return os.stat(path, follow_symlinks=follow_symlinks).st_mode
    except FileNotFoundError:
        return 0
    except OSError as error:
        _refuse(error, path)


def _read(path: str) -> bytes:
    """Raises FileNotFoundError where it was removed meanwhile."""
    try:
        # Opened so, a folder in the place of the file is closed again, and the error has its name.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
            content = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        _refuse(error, path)
    if len(content) > MAX_TEXT_BYTES:
        raise MachineError(f"{escape(path)} is over {MAX_TEXT_BYTES:,} bytes, which no file of a hub is")
    return content


def _copy_store(paths: StatePaths) -> IO[bytes]:
    """A copy of the store as it is now, in a file that has no name any more."""
    with copied_beside(paths.store) as copy:
        return open(copy, "rb")


def _describe_store(store: IO[bytes]) -> BackedUpFile:
    summed, size = hashlib.sha256(), 0
    while chunk := store.read(_CHUNK):
        summed.update(chunk)
        size += len(chunk)
    store.seek(0)
    return BackedUpFile(_STORE, size, summed.hexdigest())


def _write(file: str, manifest: Manifest, contents: _Contents, keys: SealKeys) -> None:
    """Encrypt it into a file beside its place, then put it there."""
    folder, name = os.path.split(os.path.abspath(file))
    with explain_os_errors(file, "write", "for FILE"):
        remove_left(folder, name)
        require_space(folder, manifest.size, "the backup", "or name a file on another disk")
        handle, temporary = make_half_written(os.path.join(folder, name))
    try:
        with explain_os_errors(file, "write", "for FILE"):
            with encrypting(handle, keys) as pipe:
                archive = ArchiveWriter(pipe, manifest.made)
                text = dump_manifest(manifest).encode()
                archive.add(MANIFEST, len(text), io.BytesIO(text))
                for each in manifest.files:
                    small = contents.small.get(each.path)
                    archive.add(each.path, each.size, contents.store if small is None else io.BytesIO(small))  # type: ignore[arg-type]
                archive.finish()
            os.fsync(handle)
            os.replace(temporary, file)
            sync_folder(folder)
    except BaseException:
        with contextlib.suppress(OSError):  # it may have its name already
            os.unlink(temporary)
        raise
    finally:
        os.close(handle)


def list_names(files: Sequence[BackedUpFile]) -> list[str]:
    """What the files are, for people: folders with many files count once."""
    return list(dict.fromkeys("/".join(file.path.split("/")[:2]) for file in files))
