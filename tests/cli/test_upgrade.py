"""`lkhub upgrade`: what it refuses at once, and what the new version is asked. `tests/targets` upgrades a service."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version
from sqlalchemy import Connection, text

from lkhub.checks.paths import PathResult, WebResult
from lkhub.cli import upgrade_look
from lkhub.cli.upgrade import find_wanted
from lkhub.cli.upgrade_try import describe_failure, find_free_ports
from lkhub.errors import InputError, MachineError
from lkhub.hub.status import Verified
from lkhub.plan.paths import StatePaths
from lkhub.store import open as opening
from lkhub.store import upgrade as migrating
from lkhub.store.store import Store
from lkhub.store.versions import read_versions
from lkhub.wire.failure import parse_answer
from lkhub.wire.upgrade import StoreChange, Tried
from tests.cli.conftest import Run
from tests.waiting import wait_until


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    (tmp_path / "hub").mkdir(mode=0o700)
    return StatePaths(str(tmp_path / "hub"))


def test_hub_that_is_no_service_is_upgraded_where_it_was_installed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever this machine has.
    monkeypatch.setattr("os.path.exists", lambda _: False)
    done = run("upgrade", "0.2.0")
    assert (done.code, "this hub is not a service" in done.err, "`lkhub up`" in done.err) == (2, True, True)


def test_version_is_told_from_a_wheel() -> None:
    assert find_wanted("1.0rc1").version == Version("1.0rc1")
    for wrong in ("latest", "", "1.0-"):
        with pytest.raises(InputError, match="neither a version nor a wheel"):
            find_wanted(wrong)
    for file in ("lkhub.whl", "./no-lkhub", "dist/1.0"):
        with pytest.raises(InputError, match=f"there is no file {file}"):
            find_wanted(file)
    with pytest.raises(InputError, match=r"\./? is not a file"):
        find_wanted("./")


def migrate(monkeypatch: pytest.MonkeyPatch, since: str) -> None:
    """Let this lkhub have one more step of migrations, after which the store can be used `since` a version."""

    def upgrade(connection: Connection, _: str = "head") -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
        connection.execute(text("UPDATE usable SET since = :since"), {"since": since})

    monkeypatch.setattr(opening, "VERSION", "0099")
    monkeypatch.setattr(migrating, "upgrade", upgrade)


@pytest.mark.parametrize("since", ["0001", "0099"])
def test_store_is_migrated_as_a_copy(paths: StatePaths, monkeypatch: pytest.MonkeyPatch, since: str) -> None:
    Store(f"sqlite:///{paths.store}").close()
    assert upgrade_look.try_store(paths) == upgrade_look.TriedStore(), "it has this version"
    before, versions = Path(paths.store).read_bytes(), read_versions(paths.store)
    assert versions
    migrate(monkeypatch, since)
    tried = upgrade_look.try_store(paths)
    assert tried.change == StoreChange(versions.schema, "0099", since)
    assert tried.change.is_one_way == (since == "0099")
    assert Path(paths.store).read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="gives the store to another user")
def test_store_is_copied_where_its_owner_may_write(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With libpam-tmpdir, the folder of root's temporary files is closed to the hub's user."""
    monkeypatch.setattr("tempfile.tempdir", "/root")
    short_dir.chmod(0o755)
    state = short_dir / "hub"
    state.mkdir(mode=0o700)
    paths = StatePaths(str(state))
    Store(f"sqlite:///{paths.store}").close()
    for path in (state, *state.iterdir()):
        os.chown(path, 65534, 65534)
    monkeypatch.setattr("lkhub.host.acting._require_own_code", lambda _: None)
    assert upgrade_look.try_store(paths) == upgrade_look.TriedStore()
    assert not [name for name in os.listdir(state) if ".part" in name]


def test_store_of_a_newer_lkhub_is_refused(paths: StatePaths) -> None:
    store = Store(f"sqlite:///{paths.store}")
    with store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
        connection.execute(text("UPDATE usable SET since = '0098'"))
    store.close()
    with pytest.raises(MachineError, match="0099"):
        upgrade_look.try_store(paths)


def test_hub_without_a_store_has_none_to_try(paths: StatePaths) -> None:
    assert upgrade_look.try_store(paths) == upgrade_look.TriedStore()


def test_file_that_is_no_store_has_no_versions(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no store" * 100)
    (tmp_path / "empty").write_text("")
    assert (read_versions(str(tmp_path / "text")), read_versions(str(tmp_path / "empty"))) == (None, None)


def call(ok: bool | None, detail: str = "") -> PathResult:
    return PathResult("udp", ok, "media", detail)


@pytest.mark.parametrize(
    ("verified", "problem"),
    [
        (Verified(0.0, (call(True),)), ""),
        (Verified(0.0, (call(True),), web=(WebResult("page", None, "u"),)), ""),
        (Verified(0.0, ()), "no path was tried"),
        (Verified(0.0, (call(False, "nothing was heard"),)), "a call through udp failed: nothing was heard"),
        (Verified(0.0, (call(None, "not tried"),)), "a call through udp failed: not tried"),
        (
            Verified(0.0, (call(True),), web=(WebResult("page", False, "u", "refused", "closed"),)),
            "its page failed: closed",
        ),
    ],
)
def test_call_that_did_not_get_through_says_why(verified: Verified, problem: str) -> None:
    assert describe_failure(verified) == problem


def test_ports_of_a_try_are_different_and_free() -> None:
    assert len(set(find_free_ports())) == 3


@pytest.fixture
def trying(tmp_path: Path) -> Any:
    """`lkhub upgrade-try`, and the folder of its temporary files."""
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    argv = [sys.executable, "-m", "lkhub", "upgrade-try"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, text=True) as process:
        yield process, tmp_path
        process.kill()


def find_engines(folder: Path) -> list[str]:
    """The command lines of processes that have to do with a folder."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.splitlines()
    return [line for line in listed if str(folder) in line]


@pytest.mark.integration
def test_try_makes_a_call_and_leaves_nothing(trying: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = trying
    assert process.stdout
    assert parse_answer(Tried, process.stdout.readline()) == Tried()
    assert process.wait(30) == 0
    assert (find_engines(folder), list(folder.glob("lkhub-*"))) == ([], [])


@pytest.mark.integration
def test_try_ends_with_its_input_and_leaves_nothing(trying: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = trying
    wait_until(lambda: find_engines(folder), "its engine runs")
    assert process.stdin
    process.stdin.close()
    process.wait(30)
    wait_until(lambda: not find_engines(folder), "its engine has ended")
    assert list(folder.glob("lkhub-*")) == []
