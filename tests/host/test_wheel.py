"""Which wheels of lkhub this machine can run."""

import os
import random
import shutil
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from packaging.tags import Tag

from lkhub.errors import InputError, MachineError
from lkhub.host import wheel
from lkhub.host.wheel import read_wheel, unpack_wheel

TAGS = [Tag("py3", "none", "manylinux_2_17_x86_64")]
NAME = "lkhub-0.2.0-py3-none-manylinux_2_17_x86_64.whl"
METADATA = "Metadata-Version: 2.4\nName: lkhub\nVersion: 0.2.0\nRequires-Python: >=3.11\nRequires-Dist: anyio>=4\n"


def write(path: Path, metadata: str = METADATA, **more: str) -> str:
    """Write a wheel. Returns its path."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lkhub/__init__.py", '__version__ = "0.2.0"\n' * 100, zipfile.ZIP_DEFLATED)
        program = zipfile.ZipInfo("lkhub/bin/lkhub-engine")
        program.external_attr = 0o100755 << 16
        archive.writestr(program, "#!/bin/sh\n")
        archive.writestr("lkhub-0.2.0.dist-info/METADATA", metadata)
        for name, text in more.items():
            archive.writestr(name, text)
    return str(path)


def test_wheel_says_its_version_and_what_it_needs(tmp_path: Path) -> None:
    found = read_wheel(write(tmp_path / NAME), TAGS)
    assert (str(found.version), found.requires) == ("0.2.0", ("anyio>=4",))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lkhub.whl", "has not the name of a wheel"),
        ("lkhub-x-py3-none-any.whl", "has not the name of a wheel"),
        ("pip-24.0-py3-none-any.whl", "is a wheel of pip"),
        ("lkhub-0.2.0-py3-none-macosx_11_0_arm64.whl", "is built for py3-none-macosx_11_0_arm64"),
        ("lkhub-0.2.0-cp39-cp39-manylinux_2_17_x86_64.whl", "another Python"),
        ("lkhub-0.3.0-py3-none-manylinux_2_17_x86_64.whl", "says inside that it is lkhub 0.2.0"),
    ],
)
def test_name_has_to_fit_what_is_inside_and_this_machine(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_wheel(write(tmp_path / name), TAGS)


def test_wheel_for_another_python_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / NAME, METADATA.replace(">=3.11", ">=4"))
    with pytest.raises(InputError, match=f"needs Python >=4, and this one is {sys.version_info.major}"):
        read_wheel(path, TAGS)


@pytest.mark.parametrize(
    "requires", ["anyio>=", "==1", "anyio; nothing", "anyio; extra ~= 'x'", "anyio @", "anyio; python_version ~= 'x'"]
)
def test_requirement_that_makes_no_sense_is_refused(tmp_path: Path, requires: str) -> None:
    path = write(tmp_path / NAME, METADATA.replace("anyio>=4", requires))
    with pytest.raises(InputError, match="which makes no sense"):
        read_wheel(path, TAGS)


def test_encrypted_wheel_is_refused(tmp_path: Path) -> None:
    path = Path(write(tmp_path / NAME))
    raw = bytearray(path.read_bytes())
    for begin, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.find(begin)
        while at >= 0:
            raw[at + flags] |= 1
            at = raw.find(begin, at + 1)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="it is encrypted"):
        read_wheel(str(path), TAGS)


def test_no_damage_is_a_traceback(tmp_path: Path) -> None:
    luck, path = random.Random(5), Path(write(tmp_path / NAME))
    raw = path.read_bytes()
    for number in range(2000):
        damaged = bytearray(raw)
        for _ in range(luck.choice([1, 1, 2, 5])):
            # Its end and the end of its files have all names, sizes and offsets.
            at = luck.randrange(len(raw) // 2 if luck.random() < 0.5 else 0, len(raw))
            damaged[at] = luck.choice([0, 1, 0x7F, 0xFF, luck.randrange(256)])
        path.write_bytes(damaged)
        target = tmp_path / f"target-{number}"
        with suppress(InputError, MachineError):
            unpack_wheel(read_wheel(str(path), TAGS), str(target))
        shutil.rmtree(target, ignore_errors=True)


@pytest.mark.parametrize("kept", [0, 1, 200, -1, -200])
def test_wheel_that_was_cut_is_refused(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / NAME)
    os.truncate(path, kept if kept >= 0 else os.path.getsize(path) + kept)
    with pytest.raises(InputError, match="is damaged"):
        read_wheel(path, TAGS)


def test_wheel_whose_bytes_have_changed_is_refused(tmp_path: Path) -> None:
    path = Path(write(tmp_path / NAME))
    raw = bytearray(path.read_bytes())
    for at in range(45, 50):
        raw[at] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(InputError, match="is damaged"):
        read_wheel(str(path), TAGS)


def test_text_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("<html>404</html>" * 100)
    with pytest.raises(InputError, match="is damaged: file is not a zip file"):
        read_wheel(str(tmp_path / NAME), TAGS)


def test_wheel_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises((InputError, MachineError), match=NAME):
        read_wheel(str(tmp_path / NAME), TAGS)


def test_archive_without_the_package_is_no_wheel_of_lkhub(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / NAME, "w") as archive:
        archive.writestr("lkhub-0.2.0.dist-info/METADATA", METADATA)
    with pytest.raises(InputError, match="no such package"):
        read_wheel(str(tmp_path / NAME), TAGS)


def test_archive_that_would_fill_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="unpacks to over 100 bytes"):
        read_wheel(write(tmp_path / NAME), TAGS)


def test_wheel_is_unpacked_with_its_program(tmp_path: Path) -> None:
    unpack_wheel(read_wheel(write(tmp_path / NAME), TAGS), str(tmp_path / "packages"))
    packages = tmp_path / "packages"
    assert os.access(packages / "lkhub/bin/lkhub-engine", os.X_OK)
    assert not os.access(packages / "lkhub/__init__.py", os.X_OK)
    assert (packages / "lkhub-0.2.0.dist-info/METADATA").read_text() == METADATA


@pytest.mark.parametrize("name", ["../outside", "/outside", "lkhub/../../outside", "sitecustomize.py"])
def test_wheel_writes_nothing_but_its_package(tmp_path: Path, name: str) -> None:
    found = read_wheel(write(tmp_path / NAME, **{name: "x"}), TAGS)
    with pytest.raises(InputError, match="which no lkhub has"):
        unpack_wheel(found, str(tmp_path / "deep/packages"))
    assert not list(tmp_path.rglob("outside")) + list(tmp_path.rglob("sitecustomize.py"))
