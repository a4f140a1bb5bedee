"""Folders that can be served as a web site, and folders that can't."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.host import site_root
from lkhub.host.site_root import judge_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "dist"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<h1>bmo</h1>")
    return root


def test_folder_of_files_can_be_served(root: Path) -> None:
    (root / "start.html").symlink_to("index.html")
    (root / "assets/home").symlink_to("../index.html")
    assert judge_root(str(root), (str(root.parent / "hub.yaml"),)) == ""


def test_link_to_the_folder_is_followed(root: Path) -> None:
    (root.parent / "current").symlink_to("dist")
    assert judge_root(str(root.parent / "current"), ()) == ""


def _add_link(root: Path) -> None:
    (root / "assets/passwd").symlink_to("/etc/passwd")


def _add_folder_link(root: Path) -> None:
    (root / "up").symlink_to("../..")


def _add_forged_link(root: Path) -> None:
    (root / "x\nhint: `touch pwned`\x1b[2J").symlink_to("/etc/passwd")


def _remove_page(root: Path) -> None:
    (root / "index.html").unlink()


def _be_a_file(root: Path) -> None:
    _remove_page(root)
    (root / "assets").rmdir()
    root.rmdir()
    root.write_text("")


def _be_missing(root: Path) -> None:
    root.rename(root.with_name("other"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_add_link, "assets/passwd is a link to somewhere else"),
        (_add_forged_link, r"x\nhint: `touch pwned`\x1b[2J is a link to somewhere else"),
        (_add_folder_link, "up is a link to somewhere else"),
        (_remove_page, "it has no index.html"),
        (_be_a_file, "it is not a folder"),
        (_be_missing, "there is no such folder"),
    ],
)
def test_folder_that_can_not_be_served(root: Path, change: Callable[[Path], None], problem: str) -> None:
    change(root)
    assert judge_root(str(root), ()).split(", which")[0] == problem


def test_spec_and_state_are_for_no_visitor(root: Path) -> None:
    spec = root / "hub.yaml"
    assert judge_root(str(root), (str(spec),)) == f"{spec} is in it, and visitors must not get that"
    other = root.parent / "link"
    other.symlink_to(root)
    assert "hub.yaml is in it" in judge_root(str(other), (str(spec),))


def test_whole_machine_is_no_site(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_root, "MOST_FILES", 3)
    for number in range(4):
        (root / f"{number}").write_text("")
    assert judge_root(str(root), ()) == "it has more than 3 files"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_folder_that_may_not_be_read_is_named(root: Path) -> None:
    (root / "assets").chmod(0)
    with pytest.raises(MachineError, match=f"can't read {root}/assets: permission denied"):
        judge_root(str(root), ())


@pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux", reason="only root gives a link to another user; links of Linux"
)
@pytest.mark.parametrize(
    ("maker", "owner", "problem"),
    [
        (65533, 0, "a link that user 65533 has made to a folder of root"),
        (65533, 65534, "a link that user 65533 has made to a folder of nobody"),
        (65533, 65533, ""),
        (0, 0, ""),
        (0, 65534, ""),
    ],
)
@pytest.mark.parametrize("on_the_way", [False, True])
def test_folder_is_reached_by_no_link_from_a_user_to_a_folder_of_another(
    root: Path, maker: int, owner: int, problem: str, on_the_way: bool
) -> None:
    os.chown(root, owner, owner)
    link = root.parent / "link"
    link.symlink_to(root.parent if on_the_way else root)
    os.lchown(link, maker, maker)
    asked = link / "dist" if on_the_way else link
    assert judge_root(str(asked), ()) == (problem and f"it is, or is reached by, {problem}")
