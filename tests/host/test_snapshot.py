"""A copy of the store while others write to it."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.host.snapshot import copy_database


def make(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE pair (first, second)")
    return connection


def read_pairs(path: Path) -> list[tuple[int, int]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT first, second FROM pair").fetchall()


def test_copy_is_whole_while_another_process_writes(tmp_path: Path) -> None:
    """What stands in the log alone is in the copy, and no transaction is in it by halves."""
    store, ended = tmp_path / "store.db", threading.Event()
    with closing(make(store)) as connection:

        def write() -> None:
            number = 0
            while not ended.is_set():
                number += 1
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("INSERT INTO pair VALUES (?, NULL)", (number,))
                connection.execute("UPDATE pair SET second = first WHERE first = ?", (number,))
                connection.execute("COMMIT")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(20):
                copy = tmp_path / f"copy-{number}"
                copy.touch()
                copy_database(str(store), str(copy))
                found = read_pairs(copy)
                assert [*range(1, len(found) + 1)] == [first for first, _ in found]
                assert all(first == second for first, second in found)
        finally:
            ended.set()
            writer.join()
        assert found
    assert not list(tmp_path.glob("copy-*-wal")), "each copy is one file"


def test_damaged_store_is_not_copied(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with closing(make(store)) as connection:
        connection.executemany("INSERT INTO pair VALUES (?, ?)", [(each, "x" * 500) for each in range(500)])
    raw = bytearray(store.read_bytes())
    raw[8192:40000] = b"\x07" * (40000 - 8192)
    store.write_bytes(raw)
    (tmp_path / "copy").touch()
    with pytest.raises(MachineError, match=r"store\.db"):
        copy_database(str(store), str(tmp_path / "copy"))


def test_missing_store_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "copy").touch()
    with pytest.raises(MachineError, match="can't copy the store"):
        copy_database(str(tmp_path / "store.db"), str(tmp_path / "copy"))
    assert not (tmp_path / "store.db").exists()
