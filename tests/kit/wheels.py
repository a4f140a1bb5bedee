"""Wheels without a registry: of this checkout, and of the packages that are installed here, made again."""

import base64
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path
from types import MappingProxyType

from lkhub.host.programs import list_distributions
from tests.documents import ROOT

# uv's program, from its files: pip puts what a wheel has as data among the scripts of an environment.
_PROGRAM = "../../../bin/uv"

# What pip has added at the installation.
_PIPS = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")

NO_CHANGES: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType({})


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout into `folder`."""
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True)
    [built] = folder.glob("lkhub-*.whl")
    return built


def make_release(built: Path, version: str, changes: Mapping[str, Callable[[bytes], bytes]] = NO_CHANGES) -> Path:
    """The wheel of lkhub once more, as another version, beside it. `changes` are made to the files of these names, or
    add them."""
    before = built.name.split("-")[1]
    place = built.with_name(built.name.replace(f"-{before}-", f"-{version}-", 1))
    said = {f"lkhub-{before}.dist-info/METADATA", "lkhub/__init__.py"}
    with zipfile.ZipFile(built) as source, zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as wheel:
        for file in source.infolist():
            raw = source.read(file)
            if file.filename in said:
                raw = raw.replace(before.encode(), version.encode())
            if change := changes.get(file.filename):
                raw = change(raw)
            # With its mode.
            file.filename = file.filename.replace(f"lkhub-{before}.dist-info", f"lkhub-{version}.dist-info")
            wheel.writestr(file, raw, zipfile.ZIP_DEFLATED, 1)
        for name in changes.keys() - {file.filename for file in source.infolist()}:
            wheel.writestr(name, changes[name](b""))
    return place


def make_wheels(folder: Path) -> None:
    """Write into `folder` the wheel of lkhub, and of all that it and its agents need here."""
    build_wheel(folder)
    pack_needed(folder)
    _pack(distribution("uv"), folder)


def pack_needed(folder: Path) -> None:
    """Write the wheels of all that lkhub needs here into `folder`."""
    for found in list_distributions("lkhub"):
        if found.name != "lkhub":
            _pack(found, folder)


def _pack(found: Distribution, folder: Path) -> None:
    assert found.files is not None
    # For a wheel of both, Python 2 comes first.
    tag = [line.split(": ")[1] for line in (found.read_text("WHEEL") or "").splitlines() if line.startswith("Tag: ")][
        -1
    ]
    stem = f"{found.name.replace('-', '_')}-{found.version}"
    record: list[str] = []
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as wheel:
        for file in found.files:
            if str(file) == _PROGRAM:
                _add(wheel, f"{stem}.data/scripts/uv", Path(str(file.locate())), record)
            if ".." in file.parts or "__pycache__" in file.parts or file.name in _PIPS:
                continue
            _add(wheel, str(file), Path(str(file.locate())), record)
            if file.name == "METADATA":
                place = f"{file.parent}/RECORD"
        wheel.writestr(place, "\n".join([*record, f"{place},,", ""]))


def _add(wheel: zipfile.ZipFile, name: str, path: Path, record: list[str]) -> None:
    raw = path.read_bytes()
    # With its mode: pip makes a script executable where the wheel says so.
    wheel.writestr(zipfile.ZipInfo.from_file(path, name), raw)
    digest = base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
    record.append(f"{name},sha256={digest},{len(raw)}")
