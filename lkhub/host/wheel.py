"""A wheel of lkhub: whether this machine can run it, and what is in it."""

import lzma
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PathDistribution
from pathlib import Path, PurePosixPath

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from lkhub.errors import InputError
from lkhub.host.files import explain_os_errors
from lkhub.shown import escape

# A wheel is 30 MB, and what is in it 110 MB.
MAX_BYTES = 1024**3

_NAME = "lkhub"


@dataclass(frozen=True)
class Wheel:
    """A sound wheel of lkhub. `requires` are its requirements, as in its metadata."""

    path: str
    version: Version
    requires: tuple[str, ...]


def read_wheel(path: str, tags: Iterable[Tag] | None = None) -> Wheel:
    """Read and judge a wheel. `tags`: those of the Python that is to run it, by default of the one that runs. Raises
    InputError where this machine could not run it, and MachineError where it can't be read."""
    name = escape(path)
    try:
        found, version, _, built_for = parse_wheel_filename(os.path.basename(path))
    except (InvalidWheelFilename, InvalidVersion):
        hint = "give it the name that it was built with, such as lkhub-0.2.0-py3-none-manylinux_2_17_x86_64.whl"
        raise InputError(f"{name} has not the name of a wheel", hints=(hint,)) from None
    if found != _NAME:
        raise InputError(f"{name} is a wheel of {escape(found)}, not of lkhub")
    if not built_for & set(sys_tags() if tags is None else tags):
        built = ", ".join(sorted(map(str, built_for)))
        raise InputError(f"{name} is for another system or another Python: it is built for {built}")
    with explain_os_errors(path, "read"):
        try:
            with zipfile.ZipFile(path) as archive:
                if sum(file.file_size for file in archive.infolist()) > MAX_BYTES:
                    raise InputError(f"{name} unpacks to over {MAX_BYTES:,} bytes, which no lkhub does")
                if damaged := archive.testzip():
                    raise _describe_damage(name, f"{escape(damaged)} is not what it was")
                return _read_metadata(path, archive, version)
        except zipfile.BadZipFile as error:
            raise _describe_damage(name, str(error).lower()) from None
        except (zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError, LookupError, struct.error):
            raise _describe_damage(name, "it can't be unpacked") from None
        except RuntimeError:  # zipfile's, for a file that is encrypted
            raise _describe_damage(name, "it is encrypted") from None


def _read_metadata(path: str, archive: zipfile.ZipFile, version: Version) -> Wheel:
    name = escape(path)
    folders = {file.split("/")[0] for file in archive.namelist() if file.endswith(".dist-info/METADATA")}
    if len(folders) != 1 or "lkhub/__init__.py" not in archive.namelist():
        raise InputError(f"{name} is not a wheel of lkhub: it has no such package")
    about = PathDistribution(zipfile.Path(archive, f"{folders.pop()}/"))
    metadata = about.metadata
    said = str(metadata["Version"])
    if canonicalize_name(str(metadata["Name"])) != _NAME or said != str(version):
        raise InputError(f"{name} says inside that it is {escape(str(metadata['Name']))} {escape(said)}")
    try:
        python = SpecifierSet(str(metadata["Requires-Python"] or ""))
    except InvalidSpecifier:
        raise _describe_damage(name, "its metadata make no sense") from None
    mine = ".".join(map(str, sys.version_info[:3]))
    if not python.contains(mine, prereleases=True):
        raise InputError(
            f"lkhub {version} needs Python {python}, and this one is {mine}",
            hints=("install it there with `pip`, then type `lkhub install` of that environment",),
        )
    requires = tuple(about.requires or ())
    for text in requires:
        try:
            requirement = Requirement(text)
            if requirement.marker:
                requirement.marker.evaluate({"extra": ""})
        except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
            raise _describe_damage(name, f"it requires {escape(text)}, which makes no sense") from None
    return Wheel(path, version, requires)


def _describe_damage(name: str, why: str) -> InputError:
    return InputError(f"{name} is damaged: {why}", hints=("get it once more", "nothing was changed"))


def unpack_wheel(wheel: Wheel, target: str) -> None:
    """Unpack a wheel that was judged into the folder of packages `target`. Raises InputError, MachineError and
    OSError."""
    with zipfile.ZipFile(wheel.path) as archive:
        for file in archive.infolist():
            parts = PurePosixPath(file.filename).parts
            if file.filename.endswith("/"):
                continue
            first = parts[0] if parts else ""
            if ".." in parts or first == "/" or (first != "lkhub" and not first.endswith(".dist-info")):
                raise InputError(f"{escape(wheel.path)} would write {escape(file.filename)}, which no lkhub has")
            place = Path(target, *parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(archive.read(file))
            # The engine is a program; pip takes over these bits too.
            if file.external_attr >> 16 & 0o111:
                place.chmod(0o755)
