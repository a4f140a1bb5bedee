"""What killed processes have left of files that they were writing."""

import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lkhub.host.half_written import make_half_written, remove_left


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_was_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    handle, made = make_half_written(str(tmp_path / "home.age"))
    others = {".home.age.template", ".env.template", "home.age", ".home.age.part", ".b.12345678.part"}
    for name in others:
        (tmp_path / name).write_text("")
    assert os.stat(made).st_mode & 0o777 == 0o600
    remove_left(str(tmp_path), "home.age")
    assert names(tmp_path) == {*others, os.path.basename(made)}, "this process is writing it"
    os.close(handle)
    remove_left(str(tmp_path), "home.age")
    assert names(tmp_path) == others


def test_what_sqlite_has_beside_a_copy_is_removed_with_it(tmp_path: Path) -> None:
    handle, made = make_half_written(str(tmp_path / "store.db"))
    with closing(sqlite3.connect(made)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (x)")
        assert len(names(tmp_path)) == 3
        remove_left(str(tmp_path), "store.db")
        assert len(names(tmp_path)) == 3
        os.close(handle)
        remove_left(str(tmp_path), "store.db")
        assert names(tmp_path) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
def test_what_is_another_users_is_left(tmp_path: Path) -> None:
    handle, made = make_half_written(str(tmp_path / "home.age"))
    os.close(handle)
    os.chown(made, 65534, 65534)
    link = tmp_path / ".home.age.abcdefgh.part"
    link.symlink_to("/etc/passwd")
    remove_left(str(tmp_path), "home.age")
    assert names(tmp_path) == {os.path.basename(made), link.name}


def test_one_that_was_removed_before_its_lock_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock
    removed: list[Path] = []

    def race(handle: int, how: int) -> None:
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        flock(handle, how)

    monkeypatch.setattr("lkhub.host.half_written.fcntl.flock", race)
    handle, made = make_half_written(str(tmp_path / "x"))
    assert os.path.samestat(os.fstat(handle), os.stat(made))
    os.close(handle)
