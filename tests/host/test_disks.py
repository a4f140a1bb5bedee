"""The disks of folders."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from lkhub.host import disks
from lkhub.host.disks import describe_full, look_at_disks


def test_disk_is_named_once_by_its_first_folder_that_is_there(tmp_path: Path) -> None:
    here, below = tmp_path / "here", tmp_path / "here/below"
    below.mkdir(parents=True)
    [disk] = look_at_disks((str(tmp_path / "missing"), str(here), str(below)))
    assert (disk.folder, disk.size) == (str(here), shutil.disk_usage(here).total)
    assert 0 <= disk.free <= disk.size


def test_full_disk_is_named_by_the_folder_that_is_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert describe_full(str(tmp_path / "missing")) == ""
    for free, full in ((80 << 10, True), (1 << 30, False)):
        usage = SimpleNamespace(free=free, total=1 << 32)
        monkeypatch.setattr(disks, "shutil", SimpleNamespace(disk_usage=lambda _, usage=usage: usage))
        said = describe_full(str(tmp_path))
        assert said == (
            f"the disk of {tmp_path} is full (81,920 bytes are free; `df -h` shows all disks)" if full else ""
        )
