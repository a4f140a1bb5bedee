import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.host import trees
from lkhub.host.agent_home import copy_files, remove_left
from lkhub.host.project import copy_project, judge_project, own_tree, publish
from lkhub.host.site_root import judge_root
from lkhub.host.state_directory import ensure_state_dir
from lkhub.host.trees import let_all_read, remove_tree
from lkhub.plan.users import FIRST_UID as UID


@pytest.fixture(autouse=True)
def nothing_deep_is_left(tmp_path: Path) -> Iterator[None]:
    """pytest removes old files by calling itself at each level, and would end by an error days later."""
    yield
    subprocess.run(["rm", "-rf", tmp_path], check=True)


def dig(folder: Path) -> None:
    """Make folders in a folder, more than Python calls functions in functions."""
    folder.mkdir(parents=True)
    at = os.open(folder, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("a", dir_fd=at)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        below = os.open("a", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


def test_folders_in_folders_are_removed_however_deep(tmp_path: Path) -> None:
    dig(tmp_path / "one/two")
    (tmp_path / "one/two/link").symlink_to(tmp_path)
    remove_tree(str(tmp_path), "one/two")
    assert os.listdir(tmp_path) == ["one"]
    assert os.listdir(tmp_path / "one") == []
    remove_tree(str(tmp_path), "one/two")


def test_removal_ends_where_folders_are_made_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "_MOST_LEVELS", 10)
    dig(tmp_path / "one")
    remove_tree(str(tmp_path), "one")
    monkeypatch.undo()
    remove_tree(str(tmp_path), "one")
    assert os.listdir(tmp_path) == []


def test_folders_that_may_be_read_alone_are_removed_by_their_owner() -> None:
    """Go makes those of its modules so, and a build leaves gigabytes of them."""
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if not child:
            try:
                if os.geteuid() == 0:
                    os.chown(folder, UID, UID)
                    os.setgid(UID)
                    os.setuid(UID)
                for mode in (0o555, 0o400, 0):
                    inner = Path(folder, f"left/go/{mode}/mod")
                    inner.mkdir(parents=True)
                    (inner / "file").touch()
                    inner.chmod(mode)
                    inner.parent.chmod(mode)
                os.chmod(f"{folder}/left", 0o555)
                remove_tree(folder, "left")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert os.listdir(folder) == []


@pytest.mark.parametrize("link", [".local", ".local/share", ".local/share/uv"])
def test_link_of_an_agent_removes_nothing_of_ours(tmp_path: Path, link: str) -> None:
    """The folder of an agent that is gone is removed by root."""
    ours = tmp_path / "root/.local/share/uv/python"
    ours.mkdir(parents=True)
    (tmp_path / "agents/bmo/user" / link).parent.mkdir(parents=True)
    (tmp_path / "agents/bmo/lock").touch()
    (tmp_path / "agents/bmo/user" / link).symlink_to(tmp_path / "root" / link)
    remove_left(str(tmp_path / "agents"), ())
    assert ours.is_dir()


@pytest.mark.parametrize("place", ["0123", "user/.cache", "user/mine"])
def test_folders_of_an_agent_that_is_gone_may_be_deep(tmp_path: Path, place: str) -> None:
    """The supervisor removes them, and would end by an error."""
    dig(tmp_path / "agents/bmo" / place)
    (tmp_path / "agents/bmo/lock").touch()
    remove_left(str(tmp_path / "agents"), ())
    assert (tmp_path / "agents/bmo").exists() == (place == "user/mine"), "what an agent keeps in its HOME stays"
    remove_tree(str(tmp_path), "agents")


def test_folders_that_a_build_has_made_may_be_deep(tmp_path: Path) -> None:
    dig(tmp_path / "scratch/dist")
    scratch = os.open(tmp_path / "scratch", os.O_RDONLY)
    try:
        with pytest.raises(MachineError, match="more than 64 deep"):
            publish(scratch, "dist", str(tmp_path / "files"), str(tmp_path / "current"))
    finally:
        os.close(scratch)
    for name in ("scratch", "files"):
        remove_tree(str(tmp_path), name)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A folder with an index.html, and with folders that are too deep for Python."""
    dig(tmp_path / "folder")
    (tmp_path / "folder/index.html").touch()
    return tmp_path / "folder"


def test_project_and_site_of_deep_folders_are_judged(deep: Path) -> None:
    assert judge_project(str(deep)) == "folders in folders, more than 64 deep"
    assert judge_project(str(deep), without={"a"}) == ""
    assert judge_root(str(deep), ()) == ""


def test_packages_of_deep_folders_are_a_fault_of_the_copy(deep: Path, tmp_path: Path) -> None:
    """A project is judged without its packages."""
    with pytest.raises(MachineError, match="more than 64 deep"):
        copy_project(str(deep), str(tmp_path / "copy"), ())
    with pytest.raises(MachineError, match="more than 64 deep"):
        copy_files(str(deep), str(tmp_path / "another"))


def test_deep_folders_are_given_away(deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr(os, "lchown", lambda path, uid, gid: given.append(os.fspath(path)))
    own_tree(str(deep), 65534, 65534, without=str(deep / "index.html"))
    assert (len(given), given[-1]) == (2401, str(deep))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_file_of_another_user_is_found_in_deep_folders(deep: Path) -> None:
    deep.chmod(0o777)
    os.rename(deep, deep.parent / "logs")
    (deep.parent / "logs/index.html").rename(deep.parent / "logs/a/a/index.html")
    os.chown(deep.parent / "logs/a/a/index.html", 65534, 65534)
    deep.parent.chmod(0o777)
    with pytest.raises(MachineError, match="belongs to another user"):
        ensure_state_dir(str(deep.parent))


def test_all_may_read_also_what_is_in_a_closed_folder(tmp_path: Path) -> None:
    for path, mode in (("closed/program", 0o700), ("closed/text", 0o600), ("closed", 0o600)):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch() if "/" in path else None
        (tmp_path / path).chmod(mode)
    (tmp_path / "link").symlink_to("/nowhere")
    let_all_read(str(tmp_path))
    modes = {path: (tmp_path / path).stat().st_mode & 0o777 for path in ("", "closed", "closed/program", "closed/text")}
    assert modes == {"": 0o755, "closed": 0o755, "closed/program": 0o755, "closed/text": 0o644}
