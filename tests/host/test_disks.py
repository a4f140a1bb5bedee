"""The disks of folders."""

import shutil
from pathlib import Path

from lkhub.host.disks import look_at_disks


def test_disk_is_named_once_by_its_first_folder_that_is_there(tmp_path: Path) -> None:
    here, below = tmp_path / "here", tmp_path / "here/below"
    below.mkdir(parents=True)
    [disk] = look_at_disks((str(tmp_path / "missing"), str(here), str(below)))
    assert (disk.folder, disk.size) == (str(here), shutil.disk_usage(here).total)
    assert 0 <= disk.free <= disk.size
