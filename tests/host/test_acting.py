import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import lkhub
from lkhub.errors import MachineError
from lkhub.host import acting
from lkhub.host.acting import acting_as_owner

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as others")


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not below pytest's folders, which are for this user alone.
    with tempfile.TemporaryDirectory(prefix="acting-") as made:
        yield Path(made)


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody can read the lkhub and the Python that run: those of this machine may be root's own."""
    monkeypatch.setattr(acting, "_require_own_code", lambda _: None)


@needs_root
@pytest.mark.usefixtures("readable")
def test_root_makes_files_of_the_owner_and_is_root_again(folder: Path) -> None:
    os.chown(folder, NOBODY, NOBODY)
    with acting_as_owner(str(folder)):
        (folder / "store.db").write_text("x")
        (folder / "link").symlink_to("/etc/shadow")
        with pytest.raises(PermissionError):
            (folder / "link").read_text()
    made = (folder / "store.db").stat()
    assert (made.st_uid, made.st_gid) == (NOBODY, NOBODY)
    assert (os.geteuid(), os.getegid()) == (0, 0)


@needs_root
@pytest.mark.usefixtures("readable")
def test_failure_leaves_root_as_it_was(folder: Path) -> None:
    os.chown(folder, NOBODY, NOBODY)
    groups = os.getgroups()
    with pytest.raises(ValueError, match="bug"), acting_as_owner(str(folder)):
        raise ValueError("bug")
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, groups)


def test_own_folder_needs_no_other_rights(folder: Path) -> None:
    before = os.geteuid()
    with acting_as_owner(str(folder)):
        assert os.geteuid() == before


@needs_root
@pytest.mark.usefixtures("readable")
def test_threads_have_these_rights_too(folder: Path) -> None:
    """SQLAlchemy's may open the file."""
    os.chown(folder, NOBODY, NOBODY)
    seen: list[int] = []
    started, go_on = threading.Event(), threading.Event()

    def look() -> None:
        started.set()
        assert go_on.wait(10)
        seen.append(os.geteuid())

    thread = threading.Thread(target=look)
    thread.start()
    assert started.wait(10)
    with acting_as_owner(str(folder)):
        go_on.set()
        thread.join()
    assert seen == [NOBODY]


@needs_root
def test_lkhub_that_the_owner_cannot_read_says_which_one_to_type(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules are imported as they are needed, and root's are often below /root."""
    os.chown(folder, NOBODY, NOBODY)
    closed = tmp_path / "lkhub"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(lkhub, "__file__", str(closed / "__init__.py"))
    with pytest.raises(MachineError) as refused, acting_as_owner(str(folder)):
        raise AssertionError("nothing is done")
    assert "/usr/local/bin/lkhub" in refused.value.hints[0]
    assert os.geteuid() == 0
