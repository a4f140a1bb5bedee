"""A state directory that is removed, or can't be written, while its hub runs."""

import contextlib
import errno
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from lkhub.errors import MachineError
from lkhub.host import control, lock, processes
from lkhub.host.control import NotRunningError, ask
from lkhub.host.lock import Lock, hold_lock
from lkhub.host.processes import identify
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub
from lkhub.state.applied import load_applied
from lkhub.state.identity import read_record
from lkhub.supervise.run import run_hub
from lkhub.supervise.supervisor import Supervisor
from lkhub.supervise.watch import state_directory
from lkhub.wire.control import StatusRequest
from lkhub.wire.exchange import Answer, Request
from tests.supervise.conftest import (
    QUICK,
    MakeHub,
    list_running,
    pids,
    states,
    status_of,
    supervising,
    watchers_of,
)
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def run_and(
    hub: PreparedHub, said: list[str], do: Callable[[Supervisor], Awaitable[None]], *, tick: float = 0.02
) -> None:
    """Run a hub for as long as `do` takes."""
    done: list[bool] = []

    async def ready(supervisor: Supervisor, _: object) -> None:
        await do(supervisor)
        done.append(True)
        supervisor.tasks.cancel_scope.cancel()

    with anyio.fail_after(60):
        await run_hub(hub, said.append, ready, replace(QUICK, tick=tick))
    assert done


async def ask_supervisor(paths: StatePaths, asked: Request[Answer]) -> Answer:
    """As a command does, which may come before the directory is there again."""
    for _ in range(500):
        with contextlib.suppress(NotRunningError):
            return await anyio.to_thread.run_sync(lambda: ask(paths.control, asked))
        await anyio.sleep(0.01)
    raise AssertionError("no answer")


async def test_directory_that_was_removed_is_there_again_and_nothing_was_restarted(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    hub = make_hub(media={}, serve={})
    hub = replace(hub, files={**hub.files, paths.managed_keys: "API: x\n"})

    async def remove(supervisor: Supervisor) -> None:
        before = pids(supervisor)
        shutil.rmtree(paths.root)
        status = await ask_supervisor(paths, StatusRequest())
        assert {process.name: process.pid for process in status.processes} == before
        await until(lambda: all(map(os.path.exists, hub.files)), "its files")
        await until(lambda: read_record(paths, "serve"), "its records")
        assert {name: identity.process.pid for name in before if (identity := read_record(paths, name))} == before
        assert load_applied(paths) is not None
        assert os.stat(paths.root).st_mode & 0o777 == 0o700
        removed = (await ask_supervisor(paths, StatusRequest())).removed
        assert removed is not None
        assert removed.logs == ("media", "serve")
        assert sum("was removed while the hub runs" in line for line in said) == 1, said
        with pytest.raises(MachineError, match="another lkhub"):
            await anyio.to_thread.run_sync(lambda: Lock(paths, 0.1))
        await supervisor.restart(["media", "serve"])
        assert (await ask_supervisor(paths, StatusRequest())).removed is None
        assert os.path.exists(paths.log("media"))

    await run_and(hub, said, remove)


async def test_command_that_comes_at_once_waits_for_the_directory(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So `status` does not say that nothing runs, `down` ends what runs, and `up` does not start another hub."""
    me = identify(os.getpid())
    monkeypatch.setattr("lkhub.host.lost_supervisor.find_holder_of_removed", lambda _: me)

    async def remove(supervisor: Supervisor) -> None:
        shutil.rmtree(paths.root)
        status = await anyio.to_thread.run_sync(ask, paths.control, StatusRequest())
        assert status.pid == os.getpid()

    await run_and(make_hub(media={}), said, remove, tick=1.0)


@pytest.mark.parametrize("replaced", [False, True])
async def test_directory_that_was_moved_or_replaced_is_there_again(
    paths: StatePaths, said: list[str], make_hub: MakeHub, short_dir: Path, replaced: bool
) -> None:
    """`mv STATE X`, or a backup put in its place, and a command: there is still one supervisor."""

    async def move(supervisor: Supervisor) -> None:
        before = pids(supervisor)
        os.rename(paths.root, short_dir / "moved")
        if replaced:
            shutil.copytree(short_dir / "moved", paths.root, ignore=shutil.ignore_patterns("*.sock"))
        status = await ask_supervisor(paths, StatusRequest())
        assert {process.name: process.pid for process in status.processes} == before
        # Commands are answered a moment before.
        await until(lambda: lock.is_held(paths.lock), "the lock")
        with pytest.raises(MachineError, match="another lkhub"):
            await anyio.to_thread.run_sync(lambda: Lock(paths, 0.1))

    await run_and(make_hub(media={}, serve={}), said, move)


async def test_supervisor_whose_hub_is_another_ones_leaves_it_the_processes(
    paths: StatePaths, said: list[str], make_hub: MakeHub, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor that was started between the removal and the next check: two supervisors would restart ended
    processes on the same ports."""
    before: dict[str, int | None] = {}
    served = Path(paths.control)

    other = StatePaths(str(short_dir / "other"))
    Path(other.run).mkdir(parents=True)
    listen = (
        "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); time.sleep(60)"
    )
    processes.start([sys.executable, "-c", listen, other.control], os.devnull, os.environ)
    await until(lambda: control.find_server(other.control), "another process, in whatever way it has come to that")

    async def replace_it(supervisor: Supervisor) -> None:
        before.update(pids(supervisor))
        os.rename(paths.root, short_dir / "moved")
        os.rename(other.root, paths.root)

    async def ready(supervisor: Supervisor, _: object) -> None:
        supervisor.tasks.start_soon(replace_it, supervisor)

    with anyio.fail_after(60), pytest.raises(MachineError, match=r"another supervisor .* calls go on"):
        await run_hub(make_hub(media={}, serve={}), said.append, ready, QUICK)
    assert served.exists(), "the other one's socket stays"
    assert {process.pid for process in list_running(paths)} == set(before.values())


async def test_supervisor_that_can_not_write_it_again_is_named(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = identify(os.getpid())
    monkeypatch.setattr("lkhub.host.lost_supervisor.find_holder_of_removed", lambda _: me)
    monkeypatch.setattr(control, "RESTORE_SECONDS", 0.2)
    with pytest.raises(MachineError, match=f"pid {os.getpid()}.* does not write it again") as failed:
        ask(paths.control, StatusRequest())
    assert f"`kill {os.getpid()}`" in failed.value.hints[0]


async def test_hub_that_never_ran_is_not_waited_for(paths: StatePaths) -> None:
    with pytest.raises(NotRunningError):
        ask(paths.control, StatusRequest())


async def test_single_files_are_written_again(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    hub = make_hub(media={}, serve={})

    async def remove(supervisor: Supervisor) -> None:
        for path in (*hub.files, paths.record("media"), paths.applied):
            os.unlink(path)
            await until(lambda path=path: os.path.exists(path), path)  # type: ignore[misc]
        media = pids(supervisor)["media"]
        assert media is not None
        os.kill(media, signal.SIGKILL)
        await until(lambda: states(supervisor)["media"] == "running" and pids(supervisor)["media"] != media, "media")

    await run_and(hub, said, remove)


@pytest.mark.parametrize("left", [b"", b"\xff", b"{"], ids=["empty", "garbage", "the beginning"])
async def test_files_that_were_damaged_are_written_again(
    paths: StatePaths, said: list[str], make_hub: MakeHub, left: bytes
) -> None:
    """A process that ends would be started with them, and commands would say that the hub has not been up yet."""
    hub = make_hub(media={"say": "whole"}, serve={})

    async def damage(supervisor: Supervisor) -> None:
        for path in (*hub.files, paths.record("media"), paths.applied):
            before = Path(path).read_text()
            Path(path).write_bytes(left)
            await until(lambda path=path: Path(path).read_bytes().strip() not in (b"", left), path)  # type: ignore[misc]
            if path in hub.files:
                assert Path(path).read_text() == before
        assert load_applied(paths) is not None
        assert read_record(paths, "media") is not None
        assert all(child.restarts == 0 for child in supervisor.children.values()), said

    await run_and(hub, said, damage)


async def test_key_that_the_operator_has_written_stays(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    hub = make_hub(media={})
    hub = replace(hub, files={**hub.files, paths.managed_keys: "API: x\n"})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(hub)
        Path(paths.managed_keys).write_text("API: y\n")
        await supervisor.write_missing()
        assert Path(paths.managed_keys).read_text() == "API: y\n"


async def test_note_about_a_new_root_does_not_come_back(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    hub = make_hub(media={})
    hub = replace(hub, files={**hub.files, paths.root_change: "{}"})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(hub)
        os.unlink(paths.root_change)
        os.unlink(paths.applied)
        await supervisor.write_missing()
        assert os.path.exists(paths.applied)
        assert not os.path.exists(paths.root_change)


async def test_who_writes_a_log_that_is_gone_is_known_though_the_clock_was_set(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        watchers_of(supervisor).state_directory.notice_removal(time.time() + 86_400)
        assert status_of(supervisor)["removed"]["logs"] == ("media", "serve")
        serve = pids(supervisor)["serve"]
        assert serve is not None
        os.kill(serve, signal.SIGKILL)
        await until(lambda: pids(supervisor)["serve"] not in (None, serve), "the next one")
        assert status_of(supervisor)["removed"]["logs"] == ("media",)


def test_own_log_that_was_removed_is_written_anew_and_another_stays(tmp_path: Path) -> None:
    removed, kept, new = tmp_path / "removed", tmp_path / "kept", tmp_path / "hub.log"
    saved = os.dup(1), os.dup(2)
    try:
        for path, descriptor in ((kept, 1), (removed, 2)):
            with path.open("w") as file:
                os.dup2(file.fileno(), descriptor)
        removed.unlink()
        state_directory._reopen_log(str(new))
        os.write(1, b"to one")
        os.write(2, b"to the other")
    finally:
        for before, descriptor in zip(saved, (1, 2), strict=True):
            os.dup2(before, descriptor)
            os.close(before)
    assert (kept.read_text(), new.read_text()) == ("to one", "to the other")
    assert new.stat().st_mode & 0o777 == 0o600


def test_lock_knows_when_it_is_lost(paths: StatePaths) -> None:
    with hold_lock(paths) as held:
        assert not held.is_lost()
        os.unlink(paths.lock)
        assert held.is_lost()
        held.take_again()
        assert not held.is_lost()
        os.unlink(paths.lock)
        with hold_lock(paths):
            assert held.is_lost()
            with pytest.raises(MachineError, match="another lkhub"):
                held.take_again()


def test_lock_of_a_state_directory_that_can_only_be_read_is_held(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lkhub down` ends what runs there."""
    real = os.open

    def read_only(path: str, flags: int, *more: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, "Read-only file system")
        return real(path, flags, *more)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(MachineError, match="read-only"), hold_lock(paths, 0.05):
        pass
    os.close(real(paths.lock, os.O_RDWR | os.O_CREAT, 0o600))
    with hold_lock(paths) as held:
        assert not held.is_lost()
        with pytest.raises(MachineError, match="another lkhub"), hold_lock(paths, 0.05):
            pass


def test_state_can_be_read_by_nobody_else_when_it_is_written_again(paths: StatePaths) -> None:
    shutil.rmtree(paths.root)
    with hold_lock(paths):
        assert Path(paths.root).stat().st_mode & 0o077 == 0
