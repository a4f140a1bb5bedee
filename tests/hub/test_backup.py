"""What a backup says that it does not have, and where it is not written."""

import os
import re
from pathlib import Path

import pytest

from lkhub.errors import InputError
from lkhub.host.sealed import SealKeys
from lkhub.hub.backup import make_backup
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret

SPEC = """
agents:
  - {name: echo, project: agents/echo}
sites:
  - {name: built, root: frontend/dist, port: 3001, build: npm run build}
  - {name: plain, root: public, port: 3002}
"""


def left_out(folder: Path, spec: str, file: Path | None = None) -> tuple[str, ...]:
    (folder / "hub.yaml").write_text(spec)
    paths = StatePaths(str(folder / "state"))
    Path(paths.root).mkdir(mode=0o700, exist_ok=True)
    Path(paths.managed_keys).touch()
    place = str(file or folder / "hub.age")
    return make_backup(paths, folder / "hub.yaml", place, SealKeys(Secret("x"))).left_out


def test_folders_without_which_the_hub_does_not_come_up_are_named(tmp_path: Path) -> None:
    assert left_out(tmp_path, SPEC) == (
        "the folder frontend, which the site built is built from",
        "the folder public, the files of the site plain",
        "the folder agents/echo, the code of the agent echo",
    )


@pytest.mark.parametrize("spec", ["tls: [", "keys: {sources: {file: keys.yaml}}\n"])
def test_spec_with_a_fault_may_name_more_than_is_known(tmp_path: Path, spec: str) -> None:
    """It was being edited when the timer came."""
    assert any("it has faults, such as" in each for each in left_out(tmp_path, spec))


def link_in_a_folder_for_all(folder: Path, mode: int = 0o1777) -> Path:
    """`all/hub.age`, a link to a file of `folder` that is not there."""
    (folder / "all").mkdir()
    (folder / "all").chmod(mode)
    link = folder / "all/hub.age"
    link.symlink_to("../elsewhere.age")
    return link


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link of another user")
@pytest.mark.parametrize("what", ["the file", "a folder"])
def test_link_of_another_user_does_not_choose_where_it_is_written(tmp_path: Path, what: str) -> None:
    link = link_in_a_folder_for_all(tmp_path)
    if what == "a folder":
        (tmp_path / "elsewhere.age").mkdir()
    os.lchown(link, 65534, 65534)
    place = link / "hub.age" if what == "a folder" else link
    says = rf"{re.escape(str(link))} is a link that nobody has made to \.\./elsewhere\.age"
    with pytest.raises(InputError, match=says):
        make_backup(StatePaths(str(tmp_path / "state")), None, str(place), SealKeys(Secret("x")))


@pytest.mark.parametrize("mode", [0o1777, 0o755])
def test_own_link_is_followed(tmp_path: Path, mode: int) -> None:
    left_out(tmp_path, "", link_in_a_folder_for_all(tmp_path, mode))
    assert (tmp_path / "elsewhere.age").stat().st_size
    assert (tmp_path / "all/hub.age").is_symlink()
