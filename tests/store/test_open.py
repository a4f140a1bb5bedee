"""The schema of a store, and what opening one says where that fails."""

import socket
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from lkhub.secret import Secret
from lkhub.store import migrations
from lkhub.store.errors import StoreError, explain
from lkhub.store.open import VERSION, open_store
from lkhub.store.schema import metadata
from lkhub.store.seats import lock_families
from lkhub.store.store import Store
from tests.kit.postgres import Postgres, run_postgres
from tests.waiting import DEADLINE_SECONDS, wait_until


def test_steps_lead_to_the_tables_of_the_schema(store: Store) -> None:
    with store.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_last_step_is_the_version_that_is_looked_up() -> None:
    folder = Path(str(migrations.__file__)).parent
    assert ScriptDirectory(str(folder)).get_heads() == [VERSION]


def test_store_that_is_open_can_be_opened_again(url: str) -> None:
    first, second = open_store(url), open_store(url)
    first.dispose()
    second.dispose()


def test_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    with store.writing() as connection:
        connection.execute(text("INSERT INTO families VALUES ('a', 1)"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    store.close()
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


def set_version(connection: Connection, version: str) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})


def test_store_that_a_newer_lkhub_has_upgraded_is_used(url: str) -> None:
    """As CONTRIBUTING.md promises of every step: an upgrade is taken back by starting the earlier lkhub."""
    store = Store(url)
    with store.writing() as connection:
        set_version(connection, "9999")
        connection.execute(text("ALTER TABLE families ADD COLUMN further TEXT"))
    store.close()
    store = Store(url, made=True)
    with store.writing() as connection:
        lock_families(connection, {"lobby"})
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    store.close()


def test_store_of_a_newer_lkhub_is_left_alone(url: str) -> None:
    store = Store(url)
    with store.writing() as connection:
        set_version(connection, "9999")
        connection.execute(text("UPDATE usable SET since = '9999'"))
    store.close()
    with pytest.raises(StoreError, match="the store was written by a newer lkhub: it has version 9999") as refused:
        open_store(url)
    assert refused.value.problem == "newer"


@pytest.mark.parametrize("name", ["a?b=c", "feature%2Fx", "a%41", "a#b", "a b", "a+b", "a@b:1", "ü"])
def test_store_is_in_its_folder_whatever_that_is_called(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    store = Store(f"sqlite:///{folder}/store.db")
    lead = store.make_lead("webhooks")
    assert lead.take()
    lead.release()
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert sorted(path.name for path in folder.iterdir()) == ["store.db", "store.db-webhooks-lead"]


def test_file_that_was_emptied_is_not_taken_for_a_new_store(tmp_path: Path) -> None:
    """By a slip of the shell, or by a copy that failed."""
    file, backup = tmp_path / "store.db", tmp_path / "backup.db"
    url = f"sqlite:///{file}"
    Store(url, made=False).close()
    backup.write_bytes(file.read_bytes())
    file.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(StoreError, match=r"the store can't be reached: .*store\.db is empty") as refused:
            Store(url, made=True)
        assert refused.value.problem == "gone"
    backup.rename(file)
    Store(url, made=True).close()


def test_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    file.write_bytes(b"not a database, but long enough to look like one" * 100)
    before = file.read_bytes()
    with pytest.raises(StoreError, match="the store is damaged") as refused:
        open_store(f"sqlite:///{file}")
    assert refused.value.problem == "corrupted"
    assert file.read_bytes() == before


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"the store can't be reached: {tmp_path}/nowhere/store.db can't be opened"):
        open_store(f"sqlite:///{tmp_path}/nowhere/store.db")


@pytest.mark.parametrize("mode", ["NORMAL", "EXCLUSIVE"])
def test_store_that_another_program_holds_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    open_store(url).dispose()
    monkeypatch.setattr("lkhub.store.open.LOCKED_SECONDS", 0.05)
    holder = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    holder.execute(f"PRAGMA locking_mode = {mode}")
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError) as refused:
        open_store(url)
    holder.close()
    assert refused.value.problem == "locked"
    open_store(url).dispose()


def test_server_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the store can't be reached: lkhub") as refused:
        open_store(f"postgresql+psycopg://postgres@/lkhub?host={tmp_path}", Secret("XYZXYZ"))
    assert "XYZXYZ" not in str(refused.value)
    assert f"lkhub at {tmp_path}:5432 as postgres: there is no such socket" in str(refused.value)
    assert refused.value.__cause__ is None


def test_server_that_does_not_listen_is_named_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(StoreError, match=f"lkhub at 127.0.0.1:{port} as ann: the connection is refused") as refused:
        open_store(f"postgresql+psycopg://ann@127.0.0.1:{port}/lkhub", Secret("XYZXYZ"))
    assert refused.value.problem == "gone"


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_database_that_can_not_keep_every_name_is_refused(postgres: Postgres, encoding: str) -> None:
    with pytest.raises(StoreError, match=f"has the encoding {encoding}") as refused:
        open_store(postgres.create(encoding))
    assert refused.value.problem == "encoding"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            'connection to server at "localhost" (::1), port 5432 failed: Connection refused\n'
            'connection to server at "localhost" (127.0.0.1), port 5432 failed: FATAL:  password authentication failed '
            'for user "ann"',
            "user or password is wrong",
        ),
        (
            'connection to server at "a", port 5432 failed: root certificate file "/ca.pem" does not exist',
            "the file with the authority of its certificate does not exist (sslrootcert)",
        ),
        ('FATAL:  database "lkhub" does not exist', "there is no such database, or no such user"),
    ],
)
def test_reason_is_that_of_the_server_which_answered(said: str, why: str) -> None:
    error = OperationalError("", {}, psycopg.OperationalError(said))
    assert str(explain(error, make_url("postgresql+psycopg://ann@a/lkhub"))).endswith(f"lkhub at a:5432 as ann: {why}")


def test_server_that_lets_nobody_in_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lkhub.store.open.CONNECT_SECONDS", 2)  # libpq takes no less
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(StoreError) as refused:
        open_store(f"postgresql+psycopg://postgres@127.0.0.1:{silent.getsockname()[1]}/lkhub")
    assert refused.value.problem == "gone"


def test_server_that_stops_answering_is_not_waited_for(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lkhub.store.open.CONNECT_SECONDS", 2)  # libpq takes no less
    monkeypatch.setattr("lkhub.store.open.SILENT_SECONDS", 2)
    monkeypatch.setattr("lkhub.store.postgres.ANSWER_SECONDS", 1.0)
    url = postgres.create()
    store = Store(url)
    lead = store.make_lead("webhooks")
    assert lead.take()

    def write_while_it_freezes() -> None:
        with store.writing() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = version_num"))
            with postgres.frozen():
                connection.execute(text("SELECT 1"))

    def open_another() -> None:
        Store(url).close()

    def read() -> None:
        with store.reading() as connection:
            connection.execute(text("SELECT 1"))

    with pytest.raises(StoreError) as refused:
        write_while_it_freezes()
    assert refused.value.problem == "gone"
    read()
    with postgres.frozen(), ThreadPoolExecutor(30) as pool:
        asked = [pool.submit(each) for each in (open_another, *[read] * 28)]
        led = pool.submit(lead.take)
        problems = [each.exception(DEADLINE_SECONDS) for each in asked]
        assert not led.result(DEADLINE_SECONDS), "whether another process leads by now is not known"
    assert {each.problem for each in problems if isinstance(each, StoreError)} == {"gone"}
    assert None not in problems
    read()
    wait_until(lead.take, "the lead")
    lead.release()
    store.close()


def test_password_that_is_refused_is_told_without_it() -> None:
    with run_postgres() as server:
        server.authenticate("scram-sha-256")
        server.stop()
        server.start()
        with pytest.raises(StoreError, match="the store refuses to be used: postgres") as refused:
            open_store(f"postgresql+psycopg://postgres@/postgres?host={server.folder}", Secret("XYZXYZ"))
    assert refused.value.problem == "refused"
    assert "XYZXYZ" not in str(refused.value)


def test_user_that_may_make_no_tables_is_told_so(postgres: Postgres) -> None:
    """As `CREATE USER` and `CREATE DATABASE` leave it, since PostgreSQL 15."""
    url = postgres.create()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE visitor LOGIN"))
    engine.dispose()
    with pytest.raises(StoreError, match="as visitor: this user may not make or use tables there") as refused:
        open_store(url.replace("postgres@", "visitor@"))
    assert refused.value.problem == "refused"


def test_database_that_another_session_holds_is_locked(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lkhub.store.open.LOCKED_SECONDS", 0.1)
    url = postgres.create()
    holder, store = Store(url), Store(url)
    with holder.writing() as connection:
        connection.execute(text("LOCK TABLE families"))
        with pytest.raises(StoreError) as refused, store.writing() as writing:
            writing.execute(text("DELETE FROM families"))
    assert refused.value.problem == "locked"
    with store.writing() as writing:
        writing.execute(text("DELETE FROM families"))
    holder.close()
    store.close()


def test_database_that_is_not_there_is_told(postgres: Postgres) -> None:
    with pytest.raises(StoreError, match=r"nowhere at .+: there is no such database") as refused:
        open_store(f"postgresql+psycopg://postgres@/nowhere?host={postgres.folder}")
    assert refused.value.problem == "gone"
