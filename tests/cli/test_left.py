"""How commands handle processes that an earlier supervisor has left running."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lkhub.host.processes import MARK, ProcessId, identify, is_alive, start, wait_until_gone
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Fingerprint, ProcessPlan
from lkhub.state.identity import Identity
from lkhub.supervise.left import make_mark
from tests.cli.conftest import Run
from tests.supervise.conftest import ROLES
from tests.waiting import wait_until

Leave = Callable[..., subprocess.Popen[bytes]]
WAITING = ("sleep", "60")


@pytest.fixture
def leave(applied: StatePaths, tmp_path: Path) -> Iterator[Leave]:
    """`leave("media")`: a process that an earlier supervisor has left running, on record or known by its mark alone."""
    left: list[subprocess.Popen[bytes]] = []

    def leave_one(name: str, *, recorded: bool = True) -> subprocess.Popen[bytes]:
        log = tmp_path / name
        plan = ProcessPlan(name, ("/bin/sh",), **ROLES[name])
        environ = {**os.environ, **make_mark(applied, plan, Fingerprint("program", "files"))}
        child = start(WAITING, str(log), environ)
        left.append(child)
        # The environment of a process that is becoming another program can't be read.
        environment = Path(f"/proc/{child.pid}/environ")
        wait_until(lambda: MARK.encode() in environment.read_bytes(), "its mark")
        process = identify(child.pid)
        assert process is not None
        if recorded:
            text = Identity(process, applied.root, plan, Fingerprint("program", "files"), 1.0).dump()
            Path(applied.record(name)).write_text(text)
        return child

    yield leave_one
    # The processes are reaped only here: until then no other process gets their pids.
    for child in left:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@pytest.mark.parametrize("recorded", [True, False])
def test_down_ends_what_was_left_without_a_supervisor(
    run: Run, applied: StatePaths, leave: Leave, recorded: bool
) -> None:
    left = [leave("serve", recorded=recorded), leave("media", recorded=recorded)]
    done = run("down")
    assert done.code == 0, done.err
    for name, child in zip(("serve", "media"), left, strict=True):
        assert f"ended {name} (pid {child.pid}), which ran without a supervisor" in done.err
        assert identify(child.pid) is None
    assert done.err.index("ended media") < done.err.index("ended serve"), "relayed people stay while it drains"
    assert not os.path.exists(applied.record("media"))


@pytest.mark.parametrize(("options", "how"), [((), "drain"), (("--now",), "now")])
def test_down_without_a_supervisor_lets_calls_finish_too(
    run: Run, leave: Leave, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], how: str
) -> None:
    leave("media")
    leave("serve")
    asked: list[tuple[object, ...]] = []

    async def end(process: ProcessId, how: str, plan: ProcessPlan, *_: object) -> None:
        asked.append((how, plan.drain))
        os.killpg(process.pid, signal.SIGKILL)
        await wait_until_gone(process)

    monkeypatch.setattr("lkhub.supervise.ending.end_process", end)
    assert run("down", *options).code == 0
    assert asked == [(how, 30), ("now", None)]


def test_down_ends_what_such_a_process_has_started_too(run: Run, applied: StatePaths, tmp_path: Path) -> None:
    """As a livekit-server that a script has started."""
    log = tmp_path / "log"
    environ = {**os.environ, **make_mark(applied, ProcessPlan("media", ("/bin/sh",)), Fingerprint("program", "files"))}
    script = start(["/bin/sh", "-c", "sleep 60 & echo $!; wait"], str(log), environ)
    wait_until(lambda: log.read_text().endswith("\n"), "its start")
    threading.Thread(target=script.wait, daemon=True).start()
    started = identify(int(log.read_text()))
    assert run("down").code == 0
    assert started is not None
    assert not is_alive(started)
    script.wait()


@pytest.mark.parametrize("how", ["", "setsid "])
def test_down_ends_what_an_agent_has_started_too(run: Run, applied: StatePaths, tmp_path: Path, how: str) -> None:
    """It may have another user and none of the hub's variables, and has the hub's key all the same."""
    log = tmp_path / "log"
    plan = ProcessPlan("agent-bmo", ("/bin/sh",), registers=True)
    environ = {**os.environ, **make_mark(applied, plan, Fingerprint("program", "files"))}
    script = start(["/bin/sh", "-c", f"env -i {how}sleep 60 & echo $!; wait"], str(log), environ)
    wait_until(lambda: log.read_text().endswith("\n"), "its start")
    threading.Thread(target=script.wait, daemon=True).start()
    pid = int(log.read_text())
    wait_until(lambda: MARK.encode() not in Path(f"/proc/{pid}/environ").read_bytes(), "its own environment")
    started = identify(pid)
    assert run("down").code == 0
    assert started is not None
    assert not is_alive(started)
    script.wait()


def test_down_of_a_copied_state_directory_ends_nothing_of_the_hub_that_it_was_copied_from(
    run: Run, applied: StatePaths, leave: Leave, short_dir: Path
) -> None:
    child = leave("media")
    copy = short_dir / "copy"
    shutil.copytree(applied.root, copy)
    for command in (("down", "--state", str(copy)), ("status", "--state", str(copy), "--json")):
        done = run(*command)
        assert child.poll() is None
    assert json.loads(done.out)["hub"]["state"] == "stopped"


def test_down_that_leaves_something_running_fails(run: Run, leave: Leave, monkeypatch: pytest.MonkeyPatch) -> None:
    async def end_nothing(*_: object) -> None:
        pass

    child = leave("media")
    monkeypatch.setattr("lkhub.supervise.ending.end_process", end_nothing)
    done = run("down")
    assert done.code == 3
    assert f"still running: media (pid {child.pid})" in done.err
    assert "the hub is down" not in done.err


def test_status_without_a_supervisor_knows_what_is_on_no_record(run: Run, leave: Leave) -> None:
    child = leave("media", recorded=False)
    status = json.loads(run("status", "--json").out)
    assert status["hub"]["state"] == "unsupervised"
    assert [(process["name"], process["pid"]) for process in status["processes"]] == [("media", child.pid)]
    assert [finding["code"] for finding in status["findings"]] == ["no-supervisor"]


def test_status_without_a_supervisor_names_what_has_ended_since(run: Run, leave: Leave) -> None:
    leave("media")
    relay = leave("relay")
    os.killpg(relay.pid, signal.SIGKILL)
    process = identify(relay.pid)
    wait_until(lambda: process is None or not is_alive(process), "its end")
    [finding] = json.loads(run("status", "--json").out)["findings"]
    assert finding["detail"] == "still running: media; ended since: relay"
