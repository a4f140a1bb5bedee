"""Wheels without a registry: of this checkout, and of the packages that are installed here, made again."""

import base64
import hashlib
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

from lkhub.host.programs import list_distributions
from tests.documents import ROOT

# What pip has added at the installation.
_PIPS = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")


def make_wheels(folder: Path) -> None:
    """Write into `folder` the wheel of lkhub, and of all that it needs here."""
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True)
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
    record = []
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as wheel:
        for file in found.files:
            if ".." in file.parts or "__pycache__" in file.parts or file.name in _PIPS:
                continue
            raw = Path(str(file.locate())).read_bytes()
            wheel.writestr(str(file), raw)
            digest = base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
            record.append(f"{file},sha256={digest},{len(raw)}")
            if file.name == "METADATA":
                place = f"{file.parent}/RECORD"
        wheel.writestr(place, "\n".join([*record, f"{place},,", ""]))
