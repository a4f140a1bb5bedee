"""The file of a store is removed, moved or replaced while it is open."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select

from lkhub.store.errors import StoreError
from lkhub.store.schema import families
from lkhub.store.store import Store

pytestmark = pytest.mark.anyio


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(file: Path) -> Store:
    return Store(f"sqlite:///{file}")


def add(store: Store, *names: str) -> None:
    for name in names:
        with store.writing() as connection:
            connection.execute(insert(families).values(name=name, version=1))


def names(store: Store) -> list[str]:
    with store.reading() as connection:
        return list(connection.execute(select(families.c.name).order_by(families.c.name)).scalars())


def back_up(file: Path) -> Path:
    kept = file.with_name("backup")
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(kept)) as target:
        source.backup(target)
    return kept


def names_in(file: Path) -> list[str]:
    opened = Store(f"sqlite:///{file}")
    try:
        return names(opened)
    finally:
        opened.close()


def test_backup_in_its_place_gets_nothing_of_the_file_that_was_there(file: Path, store: Store) -> None:
    add(store, "a")
    backup = back_up(file)
    add(store, "b", "c")
    os.replace(backup, file)
    with pytest.raises(StoreError, match="was removed or replaced"):
        add(store, "d")
    store.close()
    assert names_in(file) == ["a"]


def test_file_that_was_moved_away_and_back_has_everything(file: Path, store: Store) -> None:
    add(store, "a", "b")
    away = file.with_name("away")
    file.rename(away)
    with pytest.raises(StoreError, match="was removed or replaced"):
        names(store)
    store.close()
    away.rename(file)
    assert names_in(file) == ["a", "b"]


def test_log_that_was_removed_takes_nothing_with_it(file: Path, store: Store) -> None:
    add(store, "a", "b")
    for suffix in ("-wal", "-shm"):
        file.with_name(f"store.db{suffix}").unlink()
    with pytest.raises(StoreError, match=r"store\.db-wal was removed or replaced"):
        add(store, "c")
    store.close()
    assert names_in(file) == ["a", "b"]


def test_index_that_was_removed_is_noticed(file: Path, store: Store) -> None:
    """Another process would make one of its own, and the two would write over each other's transactions."""
    add(store, "a")
    file.with_name("store.db-shm").unlink()
    with pytest.raises(StoreError, match=r"store\.db-shm was removed or replaced"):
        add(store, "b")
    store.close()
    assert names_in(file) == ["a"]


_COMMAND = """
import sys
from pathlib import Path
from lkhub.store import open
from tests.store.test_removed import Store, add

open.LOCKED_SECONDS = float(sys.argv[2])
store = Store(f"sqlite:///{sys.argv[1]}")
add(store, "of a command")
store.close()
"""


def command(file: Path, seconds: float) -> "subprocess.Popen[str]":
    """Another process that writes; `seconds` is how long it waits."""
    return subprocess.Popen([sys.executable, "-c", _COMMAND, file, str(seconds)], stderr=subprocess.PIPE, text=True)


def test_command_beside_a_service_whose_index_was_removed_loses_nothing(file: Path, store: Store) -> None:
    """`lkhub access create` would print a key that nobody knows afterwards."""
    add(store, "a")
    file.with_name("store.db-shm").unlink()
    with command(file, 0.1) as early:
        assert "-shm was removed, and another process uses" in early.communicate()[1]
        assert early.returncode
    with command(file, 60.0) as patient:
        with pytest.raises(StoreError):
            add(store, "b")
        store.close()
        assert patient.wait(60) == 0
    assert names_in(file) == ["a", "of a command"]


def test_log_of_another_process_that_went_on_before_is_left_alone(file: Path, store: Store) -> None:
    other = Store(f"sqlite:///{file}")
    add(store, "a")
    os.replace(back_up(file), file)
    other.close()
    after = Store(f"sqlite:///{file}")
    add(after, "b")
    store.close()
    assert names(after) == ["a", "b"]
    after.close()
    assert names_in(file) == ["a", "b"]


async def test_write_is_no_success_where_the_file_went_while_it_was_written(file: Path, store: Store) -> None:
    def write(connection: Connection) -> None:
        connection.execute(insert(families).values(name="lost", version=1))
        file.unlink()

    with pytest.raises(StoreError, match="was removed or replaced"):
        await store.writer.run(write)
    store.close()
    assert not file.exists(), "nothing makes it anew"


def test_new_connection_makes_no_new_file(file: Path, store: Store) -> None:
    with store.reading():
        file.unlink()
        with pytest.raises(StoreError) as gone:
            names(store)
    assert gone.value.problem == "gone"
    store._engine.dispose()
    with pytest.raises(Exception, match="unable to open database file"):
        store._engine.connect()
    assert not file.exists()
