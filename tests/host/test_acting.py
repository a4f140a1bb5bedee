import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkhub.host.acting import acting_as_owner

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as others")


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not below pytest's folders, which are for this user alone.
    with tempfile.TemporaryDirectory(prefix="acting-") as made:
        yield Path(made)


@needs_root
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
def test_threads_have_these_rights_too(folder: Path) -> None:
    """SQLAlchemy's may open the file."""
    os.chown(folder, NOBODY, NOBODY)
    script = f"""
import os, threading
from lkhub.host.acting import acting_as_owner
seen = []
with acting_as_owner({str(folder)!r}):
    thread = threading.Thread(target=lambda: seen.append(os.geteuid()))
    thread.start()
    thread.join()
print(seen)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"[{NOBODY}]"
