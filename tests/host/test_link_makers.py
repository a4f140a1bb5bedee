"""A project in the folder of another user, who may not be able to read what the hub can."""

import contextlib
import ctypes
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.host import project as project_module
from lkhub.host.agent_home import copy_files
from lkhub.host.link_makers import opened_of_others
from lkhub.host.project import copy_project, digest_project, judge_project, list_files, publish

SECRET = "a key of root's"
ANN, BOB = 65533, 65534

needs_users = pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux", reason="only root gives a file to another user; links of Linux"
)


def own(path: Path, uid: int) -> Path:
    os.lchown(path, uid, uid)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of each of three users, in which the others can make nothing."""
    for name, uid in (("root", 0), ("ann", ANN), ("bob", BOB)):
        (tmp_path / name / "project").mkdir(parents=True)
        (tmp_path / name / "project/file").write_text(SECRET)
        for path in (tmp_path / name, tmp_path / name / "project"):
            own(path, uid)
    return tmp_path


def _copy_site(project: str, target: str) -> None:
    copy_project(project, target)


COPIES = [copy_files, _copy_site]


@needs_users
@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("to", ["root", "bob"])
@pytest.mark.parametrize("at", ["project", ""])
def test_link_that_a_user_has_made_to_anothers_folder_is_not_followed(
    folder: Path, copy: Callable[[str, str], None], to: str, at: str
) -> None:
    link = folder / "ann/link"
    # Through a link of root's, which may be followed.
    (folder / "by-root").symlink_to(folder / to)
    link.symlink_to(folder / "by-root" / ("" if at else "project"))
    own(link, ANN)
    project = link / at
    owner = {"root": "root", "bob": "nobody"}[to]
    said = f"a link that user {ANN} has made to a folder of {owner}"
    assert judge_project(str(project)).endswith(said)
    with pytest.raises(MachineError, match=said):
        copy(str(project), str(folder / "copy"))
    assert not (folder / "copy").exists()


@needs_users
@pytest.mark.parametrize(("maker", "to"), [(ANN, "ann"), (0, "ann"), (0, "root"), (0, "bob")])
def test_link_to_a_folder_of_its_own_maker_and_one_of_root_are_followed(folder: Path, maker: int, to: str) -> None:
    link = folder / "ann/link"
    link.symlink_to(f"../../{folder.name}/{to}/./project")
    own(link, maker)
    assert judge_project(str(link)) == ""
    copy_files(str(link), str(folder / "copy"))
    assert os.listdir(folder / "copy") == ["file"]


def test_links_without_end_are_told(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link/link")
    with pytest.raises(OSError, match="symbolic links"), opened_of_others(str(tmp_path / "link")):
        pass


@contextlib.contextmanager
def _mounted_when_used(folder: Path) -> Iterator[int]:
    """What a daemon of autofs has: the end of a pipe on which the kernel asks for the mount."""
    libc = ctypes.CDLL(None, use_errno=True)
    asks, kernels = os.pipe()
    options = f"fd={kernels},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
    mounted = libc.mount(b"lkhub-test", bytes(folder), b"autofs", 0, options.encode()) == 0
    os.close(kernels)
    try:
        if not mounted:
            pytest.skip(f"no autofs here: {os.strerror(ctypes.get_errno())}")
        yield asks
    finally:
        if mounted:
            libc.umount2(bytes(folder), 2)  # MNT_DETACH
        os.close(asks)


@needs_users
def test_folder_that_is_mounted_when_it_is_used_is_mounted(tmp_path: Path) -> None:
    with _mounted_when_used(tmp_path) as asks:
        opens = os.fork()
        if opens == 0:
            os.setpgid(0, 0)  # those of the daemon's group see the folder as it is
            with contextlib.suppress(OSError), opened_of_others(str(tmp_path)):
                pass
            os._exit(0)
        asked, _, _ = select.select([asks], [], [], 20)
        os.kill(opens, signal.SIGKILL)
        os.waitpid(opens, 0)
    assert asked


def _make_link(path: Path) -> None:
    path.symlink_to(path.parents[1] / "secret")


def _make_pipe(path: Path) -> None:
    os.mkfifo(path)


def _make_folder(path: Path) -> None:
    path.symlink_to(path.parents[1] / "closed")


# Called when one of the files of the project is about to be opened, or its folder was looked at. A hook can't be
# removed.
_at_open: list[Callable[[], None]] = []
_at_mkdir: list[Callable[[], None]] = []


def _notice(event: str, args: tuple[object, ...]) -> None:
    if event == "open" and _at_open and os.path.basename(str(args[0])) in ("a", "b", "c"):
        _at_open.pop()()
    if event == "os.mkdir" and _at_mkdir and os.path.basename(str(args[0])) == "x":
        _at_mkdir.pop()()


sys.addaudithook(_notice)


@pytest.mark.parametrize("make", [_make_link, _make_pipe, _make_folder])
@pytest.mark.parametrize("copy", COPIES)
def test_what_takes_the_place_of_a_file_or_a_folder_meanwhile_is_not_read(
    tmp_path: Path, copy: Callable[[str, str], None], make: Callable[[Path], None]
) -> None:
    """The kernel tells its owner of the first file that is opened (inotify)."""
    project = tmp_path / "project"
    (tmp_path / "closed").mkdir()
    for path in (tmp_path / "secret", tmp_path / "closed/secret"):
        path.write_text(SECRET)
    for name in ("a", "b", "c", "x/text", "y/text"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("text")

    def replace_all() -> None:
        for path in [*project.iterdir()]:
            path.rename(tmp_path / f"moved-{path.name}")
            make(path)

    _at_open.append(replace_all)
    with pytest.raises(MachineError, match=r"can't copy|none any more"):
        copy(str(project), str(tmp_path / "copy"))
    assert not _at_open
    files = [path for path in (tmp_path / "copy").rglob("*") if path.is_file() and not path.is_symlink()]
    assert SECRET not in map(Path.read_text, files)
    assert "secret" not in {path.name for path in files}


def _copy(project: str) -> None:
    copy_project(project, f"{project}-copy")


def _publish(project: str) -> None:
    with opened_of_others(os.path.dirname(project)) as beside:
        publish(beside, "project", f"{project}-files", f"{project}-site")


@pytest.mark.parametrize("read", [digest_project, _copy, _publish])
@pytest.mark.parametrize("make", [_make_link, _make_pipe, os.mkdir, lambda _: None])
def test_what_takes_the_place_of_a_file_is_told_and_is_not_left_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], read: Callable[[str], object]
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "secret").write_text(SECRET)
    (project / "a").write_text("text")
    stat = os.stat

    def look(path: str, **how: Any) -> os.stat_result:
        found = stat(path, **how)
        if path == "a" and not os.path.islink(project / "a"):
            os.unlink(project / path)
            make(project / path)
        return found

    monkeypatch.setattr(os, "stat", look)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(MachineError, match=r"symbolic link|none any more|not a file of its own|removed meanwhile"):
        read(str(project))
    assert os.listdir("/proc/self/fd") == before


def test_digest_enters_no_folder_by_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of the project puts it in the place of a folder whose files are about to be read."""
    project, secret = tmp_path / "project", tmp_path / "secret"
    for folder in (project / "a", secret):
        folder.mkdir(parents=True)
        (folder / "file").write_text(SECRET)
    opened: list[str] = []

    def read_first(name: str, folder: int) -> tuple[bytes, int]:
        opened.append(os.readlink(f"/proc/self/fd/{folder}"))
        return b"", 0

    def list_and_exchange(*given: Any) -> Iterator[str]:
        for path in list_files(*given):
            (project / "a").rename(tmp_path / "moved")
            (project / "a").symlink_to(secret)
            yield path

    monkeypatch.setattr(project_module, "_digest_file", read_first)
    monkeypatch.setattr(project_module, "list_files", list_and_exchange)
    with pytest.raises(MachineError, match=r"can't read .*/project/a/file: "):
        digest_project(str(project))
    assert opened == []


@pytest.mark.parametrize("copy", COPIES)
def test_link_that_takes_the_place_of_a_folder_is_not_entered(tmp_path: Path, copy: Callable[[str, str], None]) -> None:
    """No file is opened before it, whose refusal would end the copy."""
    folder = tmp_path / "project/x"
    for path in (folder / "text", tmp_path / "closed/secret"):
        path.parent.mkdir(parents=True)
        path.write_text(SECRET)

    def replace() -> None:
        folder.rename(tmp_path / "moved")
        folder.symlink_to(tmp_path / "closed")

    _at_mkdir.append(replace)
    with contextlib.suppress(MachineError):
        copy(str(tmp_path / "project"), str(tmp_path / "copy"))
    assert not _at_mkdir
    assert not (tmp_path / "copy/x/secret").exists()
