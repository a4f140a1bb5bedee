"""The manifest of a backup: what is in it, and whether this lkhub can put it in place.

It is the first file of the archive, so that everything about the others is judged before one of them is written. The
other files follow in its order, and must be as it says.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from packaging.version import InvalidVersion, Version

from lkhub.errors import InputError
from lkhub.plan.paths import BACKED_UP, StatePaths
from lkhub.shown import printable
from lkhub.source.json_text import parse_finite_json
from lkhub.source.typed import Epoch, ShapeError, unpack
from lkhub.state.document import dump_record

FORMAT = 1
"""The format that is written. A change that an older lkhub would misread needs the next number."""

MAX_FILES = 10_000
MAX_BYTES = 4 * 1024**3
"""The limits of a backup that is made or restored: of the largest hub, the store has tens of megabytes."""

MAX_PATH = 1024

STATE, SPEC = "state/", "spec/"
"""How the path of a file begins: one of the state directory, or the spec and files beside it."""

_FOLDERS = {name.strip("/") for name in (StatePaths("").ca, StatePaths("").caddy)}


@dataclass(frozen=True)
class BackedUpFile:
    """`path` begins with STATE or SPEC; `size` is in bytes, and `sha256` in hexadecimal digits."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """`lkhub` is the version that made the backup, at `made`, of the hub with the name `hub`. `spec` is the name of the
    spec among the files, "" for a hub without one, and `spec_path` where it was. `service`: it was the machine's
    service. `left_out` is what belongs to the hub and is not in the backup, a line for people each."""

    format: int
    lkhub: str
    made: Epoch
    hub: str
    files: tuple[BackedUpFile, ...]
    spec: str = ""
    spec_path: str = ""
    service: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)


def dump_manifest(manifest: Manifest) -> str:
    return dump_record(manifest)


def parse_manifest(text: str, own_version: str) -> Manifest:
    """The manifest of a backup that this lkhub, of the version `own_version`, can put in place. Raises InputError."""
    try:
        document = parse_finite_json(text)
    except ValueError:
        _refuse("its manifest is no JSON")
    number = document.get("format") if isinstance(document, dict) else None
    if not isinstance(number, int):
        _refuse("its manifest has no format")
    if number > FORMAT:
        newer = f"the backup has format {number}, and this lkhub knows formats up to {FORMAT}"
        raise InputError(newer, hints=("restore it with the lkhub that made it, or a newer one",))
    try:
        manifest = unpack(Manifest, document)
        made_by, own = Version(manifest.lkhub), Version(own_version)
    except (ShapeError, InvalidVersion) as error:
        _refuse(f"its manifest is damaged: {printable(str(error))}")
    if made_by > own:
        raise InputError(
            f"the backup was made by lkhub {made_by}, which is newer than this one ({own})",
            hints=(f"restore it with lkhub {made_by} or newer",),
        )
    judge_files(manifest)
    return manifest


def judge_files(manifest: Manifest) -> None:
    """Raise InputError where a file has no place in a hub, or where there is too much."""
    files = manifest.files
    if len(files) > MAX_FILES or manifest.size > MAX_BYTES:
        _refuse(f"it has {len(files):,} files and {manifest.size:,} bytes; {MAX_FILES:,} and {MAX_BYTES:,} are allowed")
    if any(file.size < 0 for file in files):
        _refuse("a file in it has a size below zero")
    for file in files:
        if not _has_place(file.path):
            _refuse(f"{printable(file.path)} in it has no place in a hub")
    # A file system may take two cases of a name for one.
    folded = [file.path.casefold() for file in files]
    if doubled := _find_doubled(folded):
        _refuse(f"{printable(doubled)} is in it twice")
    if manifest.spec and f"{SPEC}{manifest.spec}" not in (file.path for file in files):
        _refuse("the spec is not in it")


def is_plain(path: str) -> bool:
    """Whether a relative path stays below its folder, and has no hidden name. One written in a home directory would
    change what that user's programs do."""
    parts = path.split("/")
    return len(path) <= MAX_PATH and path.isprintable() and all(part and part[0] != "." for part in parts)


def _has_place(path: str) -> bool:
    if path.startswith(SPEC):
        return is_plain(path[len(SPEC) :])
    parts = path.removeprefix(STATE).split("/")
    inside = len(parts) > 1
    # Caddy has hidden names of its own in its folder, but none that leads out of it.
    whole = path.startswith(STATE) and len(path) <= MAX_PATH and path.isprintable()
    return (
        whole
        and all(part not in ("", ".", "..") for part in parts)
        and parts[0] in BACKED_UP & (_FOLDERS if inside else BACKED_UP - _FOLDERS)
    )


def _find_doubled(paths: Iterable[str]) -> str:
    seen: set[str] = set()
    for path in paths:
        if path in seen:
            return path
        seen.add(path)
    return ""


def _refuse(problem: str) -> NoReturn:
    raise InputError(f"this is no backup that can be restored: {problem}", hints=("nothing was changed",))
