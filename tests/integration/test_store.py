"""A running hub whose store fails: requests say why, `status` too, and the hub goes on by itself."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kit.hub import Hub, make_hub
from tests.waiting import wait_until

pytestmark = pytest.mark.field

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="it mounts file systems")

SPEC = "rooms: [{match: voice, capacity: 2, overflow: subrooms}]\n"


def ask(hub: Hub, identity: str = "ann") -> httpx.Response:
    """A token for a room whose seats are in the store."""
    url = f"http://127.0.0.1:{hub.ports['web']}/api/livekit/token"
    return httpx.post(url, json={"room": "voice", "identity": identity}, trust_env=False, timeout=60)


def asked(hub: Hub) -> int:
    """The status of the answer; 0 while the service does not answer."""
    try:
        return ask(hub).status_code
    except httpx.TransportError:
        return 0


def room_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["room"])


def seats(store: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(store)) as connection:
        return set(connection.execute("SELECT identity, room FROM seats"))


def findings(hub: Hub) -> list[dict[str, Any]]:
    """What is wrong, but for this: the test asks for tokens, and its participants listen on all addresses."""
    return [finding for finding in hub.findings() if finding["code"] != "open-behind-proxy"]


def check_refused(hub: Hub, reason: str) -> None:
    """Requests that need the store say why, others are served, and `status` says it."""
    answer = ask(hub)
    assert answer.status_code == 503, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == ("unavailable", reason)
    assert "retry-after" in answer.headers
    assert httpx.get(f"http://127.0.0.1:{hub.ports['web']}/api/health", trust_env=False).status_code == 200
    # On a disk that is nearly full a small write may still go through, which ends the finding until the next request.
    [finding] = wait_until(lambda: findings(hub) if ask(hub).status_code == 503 else [], "status says it")
    assert finding["code"] == "store-fails"
    assert (finding["subject"], finding["severity"]) == ("store", "error")
    assert finding["title"] == reason
    assert hub.run("status").returncode == 1


def check_recovers(hub: Hub) -> None:
    """Without a request and without a restart."""
    wait_until(lambda: not findings(hub), "the finding ends")
    assert room_of(ask(hub)) == "voice"


@contextmanager
def small_disk(hub: Hub) -> Iterator[None]:
    """The state directory is a file system of its own."""
    hub.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "lkhub-test", hub.state], check=True)
    try:
        yield
    finally:
        hub.run("down", "--now")
        subprocess.run(["umount", "-l", hub.state], check=True)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with make_hub() as made:
        made.write_spec(SPEC)
        yield made


@pytest.fixture
def running(hub: Hub) -> Hub:
    hub.up("--no-verify")
    assert room_of(ask(hub)) == "voice"
    assert findings(hub) == []
    return hub


def restart(hub: Hub) -> None:
    done = hub.run("restart", "serve")
    assert done.returncode == 0, done.stderr


def test_file_that_is_moved_away_and_back(running: Hub) -> None:
    store, away = running.state / "store.db", running.folder / "away.db"
    pids = running.pids()
    assert room_of(ask(running, "bob")) == "voice"
    store.rename(away)
    check_refused(running, "the store can't be reached")
    assert not store.exists()
    done = running.run("access", "list")
    assert done.returncode == 3, done.stderr
    assert "was removed" in done.stderr
    assert not store.exists(), "no command makes an empty one"
    restart(running)
    check_refused(running, "the store can't be reached")
    assert not store.exists(), "a new process makes no empty one either"
    away.rename(store)
    check_recovers(running)
    assert room_of(ask(running, "carl")) == "voice(2)", "the seats of ann and bob are still theirs"
    assert {**running.pids(), "serve": 0} == {**pids, "serve": 0}


def test_folder_that_is_moved_away_and_back(running: Hub) -> None:
    away = running.folder / "away"
    assert room_of(ask(running, "bob")) == "voice"
    running.state.rename(away)
    try:
        wait_until(lambda: asked(running) == 503)
        assert not running.state.exists(), "nothing makes an empty store"
    finally:
        away.rename(running.state)
    check_recovers(running)
    assert room_of(ask(running, "carl")) == "voice(2)"


def back_up(store: Path, backup: Path) -> None:
    with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(backup)) as target:
        source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        source.backup(target)


def test_file_that_is_damaged(running: Hub) -> None:
    store, backup = running.state / "store.db", running.folder / "backup.db"
    back_up(store, backup)
    for file in (store, store.with_name("store.db-wal")):
        with file.open("r+b") as opened:
            opened.write(os.urandom(store.stat().st_size))
    # What the process still knows of the file is gone with it; at an orderly end it would write that into the file.
    os.kill(running.pids()["serve"], signal.SIGKILL)
    wait_until(lambda: asked(running) == 503)
    check_refused(running, "the store is damaged")
    backup.rename(store)
    check_recovers(running)
    assert ("ann", "voice") in seats(store)


def test_file_that_is_damaged_in_one_place(running: Hub) -> None:
    """SQLite notices when it reads that page, and other pages can still be written."""
    store, backup = running.state / "store.db", running.folder / "backup.db"
    back_up(store, backup)
    with closing(sqlite3.connect(store)) as connection:
        [[root]] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'seats'")
        [[size]] = connection.execute("PRAGMA page_size")
    restart(running)
    with store.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(os.urandom(size))
    restart(running)
    wait_until(lambda: asked(running) == 503)
    check_refused(running, "the store is damaged")
    backup.rename(store)
    check_recovers(running)


@pytest.mark.soak
def test_file_that_another_program_holds(running: Hub) -> None:
    with closing(sqlite3.connect(running.state / "store.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        check_refused(running, "another program holds the store locked")
        restart(running)
        check_refused(running, "another program holds the store locked")
    check_recovers(running)


def test_store_of_a_newer_lkhub(running: Hub) -> None:
    store = running.state / "store.db"

    def set_version(version: str, usable_since: str) -> None:
        with closing(sqlite3.connect(store)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", [version])
            connection.execute("UPDATE usable SET since = ?", [usable_since])
            connection.commit()

    with closing(sqlite3.connect(store)) as connection:
        [[version]] = connection.execute("SELECT version_num FROM alembic_version")
    set_version("9999", version)
    assert room_of(ask(running)) == "voice"
    restart(running)
    assert room_of(ask(running)) == "voice", "the version before goes on: the next leaves what it needs"
    set_version("9999", "9999")
    restart(running)
    check_refused(running, "the store was written by a newer lkhub")
    set_version(version, version)
    check_recovers(running)


@needs_root
def test_disk_that_is_full(hub: Hub) -> None:
    with small_disk(hub):
        hub.up("--no-verify")
        assert room_of(ask(hub)) == "voice"
        fill(hub.state / "filler")
        wait_until(lambda: ask(hub, "bob").status_code == 503, "nothing more can be written")
        before = seats(hub.state / "store.db")
        check_refused(hub, "the store has no space left")
        restart(hub)
        check_refused(hub, "the store has no space left")
        (hub.state / "filler").unlink()
        check_recovers(hub)
        assert before <= seats(hub.state / "store.db")


def fill(path: Path) -> None:
    with path.open("wb") as file:
        size = 1 << 20
        while size:
            try:
                os.write(file.fileno(), bytes(size))
            except OSError:
                size //= 2


@needs_root
def test_file_that_is_read_only(running: Hub) -> None:
    store = running.state / "store.db"
    subprocess.run(["mount", "--bind", store, store], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", store], check=True)
        restart(running)
        check_refused(running, "the store refuses to be used")
    finally:
        subprocess.run(["umount", "-l", store], check=True)
    check_recovers(running)


@needs_root
def test_state_directory_that_is_read_only(running: Hub) -> None:
    """The service can't write its record of the store either."""
    subprocess.run(["mount", "--bind", running.state, running.state], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", running.state], check=True)
        restart(running)
        assert asked(running) == 503
        assert "store-fails" in [finding["code"] for finding in findings(running)]
        assert running.run("status").returncode == 1
    finally:
        subprocess.run(["umount", "-l", running.state], check=True)
    check_recovers(running)
