import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import psutil
import pytest

from lkhub.errors import MachineError
from lkhub.host.agent_home import AgentHome
from lkhub.host.processes import is_alive
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Health
from lkhub.shown import QUOTED
from lkhub.state.identity import Identity
from lkhub.supervise import child as child_module
from lkhub.supervise import life
from lkhub.supervise.child import Child
from lkhub.supervise.shared import Shared
from lkhub.wire.agent import AgentConfig, dump_agent
from tests.supervise.conftest import PRINT, QUICK, MakeChild, list_running, pid, tasks, write_config
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_child_is_running_when_it_says_that_it_is_ready(make_child: MakeChild, paths: StatePaths) -> None:
    child = make_child(say="at your service")
    async with tasks() as group:
        await child.start(group)
        assert child.state == "running"
        assert [process.pid for process in list_running(paths)] == [pid(child)]
        assert Path(paths.log("media")).read_text() == "at your service\n"
        await child.stop("now")


async def test_child_leaves_word_of_who_it_is_for_the_next_supervisor(make_child: MakeChild, paths: StatePaths) -> None:
    child = make_child()
    record = Path(paths.record("media"))
    async with tasks() as group:
        await child.start(group)
        identity = Identity.parse(record.read_text())
        assert (identity.process, identity.plan, identity.fingerprint) == (child.process, child.plan, PRINT)
        assert record.stat().st_mode & 0o777 == 0o600
        await child.stop("now")
    assert not record.exists()


@pytest.mark.parametrize("how", ["drain", "now", "replace"])
async def test_stopped_child_is_gone_and_does_not_come_back(make_child: MakeChild, paths: StatePaths, how: Any) -> None:
    child = make_child()
    async with tasks() as group:
        await child.start(group)
        await child.stop(how)
        assert (child.state, child.process, child.restarts) == ("stopped", None, 0)
        assert list_running(paths) == []
        await child.stop(how)


async def test_stopped_child_leaves_no_zombie(make_child: MakeChild) -> None:
    child = make_child()
    async with tasks() as group:
        for _ in range(5):
            await child.start(group)
            before = pid(child)
            await child.stop("replace")
            assert not psutil.pid_exists(before)


async def test_stopped_child_can_be_started_again(make_child: MakeChild) -> None:
    child = make_child()
    async with tasks() as group:
        await child.start(group)
        before = pid(child)
        await child.stop("replace")
        await child.start(group)
        assert child.state == "running"
        assert pid(child) != before
        await child.stop("now")


async def test_child_that_dies_is_started_again_at_once(make_child: MakeChild, said: list[str]) -> None:
    child = make_child(say="i was here")
    async with tasks() as group:
        await child.start(group)
        before = pid(child)
        os.kill(before, signal.SIGKILL)
        await until(lambda: child.state == "running" and pid(child) != before, "the restart")
        assert child.restarts == 1
        first, *quoted = said[0].split("\n")
        assert first == "media was killed by signal 9; starting it again"
        assert "i was here" in quoted[-1], "the end of its log is in the report"
        assert all(line.startswith(QUOTED) for line in quoted), "and known as that"
        await child.stop("now")


async def test_record_on_disk_follows_the_restart(make_child: MakeChild, paths: StatePaths) -> None:
    child = make_child()
    async with tasks() as group:
        await child.start(group)
        before = pid(child)
        os.kill(before, signal.SIGKILL)
        await until(lambda: child.state == "running" and pid(child) != before, "the restart")
        assert Identity.parse(Path(paths.record("media")).read_text()).process == child.process
        await child.stop("now")


async def test_child_that_keeps_dying_is_started_less_often_until_it_lives(
    make_child: MakeChild, paths: StatePaths, said: list[str]
) -> None:
    child = make_child()
    async with tasks() as group:
        await child.start(group)
        write_config(paths, exit=3, say="no luck")
        os.kill(pid(child), signal.SIGKILL)
        await until(lambda: child.restarts >= 3, "three failures")
        assert "ended with exit code 3" in said[-1]
        assert re.search(r"again in 0\.\d s$", said[-1].split("\n")[0])
        write_config(paths)
        await until(lambda: child.state == "running", "the recovery")
        await child.stop("now")


async def test_child_that_shows_no_readiness_is_not_well_because_it_runs_for_a_moment(
    make_child: MakeChild, said: list[str]
) -> None:
    """An agent whose start fails after a second or two."""
    child = make_child()
    child.plan = replace(child.plan, argv=("/bin/sleep", "0.6"), health=Health(), files=())
    async with tasks() as group:
        await child.start(group)
        await until(lambda: child.restarts >= 3, "three ends")
        assert [line.split("; ")[1].split("\n")[0] for line in said] == [
            *("starting it again", "again in 0.2 s", "again in 0.4 s")
        ]
        await child.stop("now")


async def test_agent_whose_installation_fails_is_not_well_however_long_that_takes(
    make_child: MakeChild, said: list[str], tmp_path: Path
) -> None:
    home, rendered = AgentHome(str(tmp_path / "home"), None), tmp_path / "agent.json"
    Path(home.path).mkdir()
    home.note_failure("x", "can't install its dependencies")
    config = AgentConfig("agent-bmo", "bmo", (), home.path, None, 8081, {}, "x", "", "")
    rendered.write_text(dump_agent(config))
    child = make_child()
    child.shared.timings = replace(child.shared.timings, settled=0.0)
    child.plan = replace(
        child.plan, argv=("/bin/sleep", "0.6"), health=Health(), files=(str(rendered),), registers=True, retires=60
    )
    async with tasks() as group:
        await child.start(group)
        await until(lambda: child.restarts >= 3, "three ends")
        assert said[2].split("; ")[1].split("\n")[0] == "again in 0.4 s"
        await child.stop("now")


async def test_child_that_waits_for_its_next_start_can_be_stopped(make_child: MakeChild, paths: StatePaths) -> None:
    child = make_child()
    async with tasks() as group:
        await child.start(group)
        write_config(paths, exit=3)
        os.kill(pid(child), signal.SIGKILL)
        await until(lambda: child.state == "backoff" and child.restarts >= 2, "the wait")
        await child.stop("now")
        assert child.state == "stopped"
        assert list_running(paths) == []


async def test_first_start_that_fails_is_an_error_with_the_end_of_the_log(
    make_child: MakeChild, paths: StatePaths
) -> None:
    child = make_child(exit=3, say="the disk is on fire")
    async with tasks() as group:
        with pytest.raises(MachineError) as failed:
            await child.start(group)
    assert "media ended with exit code 3" in failed.value.message
    assert "the disk is on fire" in failed.value.message
    assert paths.log("media") in failed.value.message
    assert (child.state, child.restarts) == ("failed", 0)
    assert not os.path.exists(paths.record("media"))


async def test_first_start_that_fails_on_a_full_disk_names_it(
    make_child: MakeChild, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program can't even write its log."""
    monkeypatch.setattr(child_module, "describe_full", lambda folder: f"the disk of {folder} is full")
    child = make_child(exit=2)
    async with tasks() as group:
        with pytest.raises(MachineError, match=f"^media ended with exit code 2; the disk of {paths.root} is full\n"):
            await child.start(group)


async def test_report_shows_few_and_short_lines(make_child: MakeChild) -> None:
    child = make_child(exit=1, say="\n".join(["x" * 1000] * 100))
    async with tasks() as group:
        with pytest.raises(MachineError) as failed:
            await child.start(group)
    assert len(failed.value.message) < 4000


async def test_program_that_is_missing_is_an_error(make_child: MakeChild) -> None:
    child = make_child()
    child.plan = replace(child.plan, argv=("/nowhere/engine",))
    async with tasks() as group:
        with pytest.raises(MachineError, match="can't start /nowhere/engine: no such file"):
            await child.start(group)
        await child.stop("now")


async def test_child_that_is_never_ready_is_ended(
    make_child: MakeChild, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = make_child(never_ready=True)
    child.shared.timings = replace(QUICK, ready=0.2)
    async with tasks() as group:
        with pytest.raises(MachineError, match="media was not ready within"):
            await child.start(group)
    assert list_running(paths) == []


async def test_child_that_became_ready_while_its_supervisor_was_stopped_is_not_ended(
    make_child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-Z, and `fg` a minute later: clients that have reconnected meanwhile must not be interrupted again."""
    first = True

    def stand_still() -> None:
        time.sleep(0.5)  # nothing of the supervisor goes on meanwhile

    async def wait_ready(*_: object, **__: object) -> None:
        nonlocal first
        if first:
            first = False
            stand_still()
            await anyio.sleep_forever()

    monkeypatch.setattr(life, "wait_ready", wait_ready)
    child = make_child()
    child.shared.timings = replace(QUICK, ready=0.2, away=0.2)
    async with tasks() as group:
        await child.start(group)
        assert (child.state, child.restarts) == ("running", 0)
        await child.stop("now")


async def test_child_can_be_stopped_while_it_starts(make_child: MakeChild, paths: StatePaths) -> None:
    child = make_child(never_ready=True)

    async def start() -> None:
        await child.start(group)

    async with tasks() as group:
        group.start_soon(start)
        await until(lambda: child.process, "the start")
        await child.stop("now")
        assert child.state == "stopped"
    assert list_running(paths) == []


async def test_running_process_is_taken_over_and_kept(
    make_child: MakeChild, paths: StatePaths, said: list[str]
) -> None:
    first = make_child()
    async with tasks() as group:
        await first.start(group)
    # The first supervisor is gone, and the process lives on.
    identity = Identity.parse(Path(paths.record("media")).read_text())
    assert is_alive(identity.process)
    second = Child.adopt(identity, Shared(paths, said.append, timings=QUICK))
    async with tasks() as group:
        await second.start(group)
        assert (second.state, second.process, second.since) == ("running", identity.process, identity.since)
        os.kill(identity.process.pid, signal.SIGKILL)
        await until(lambda: second.state == "running" and second.process != identity.process, "the restart")
        assert second.restarts == 1
        await second.stop("now")
    assert list_running(paths) == []


async def test_process_that_ends_while_it_is_taken_over_is_an_error(make_child: MakeChild, paths: StatePaths) -> None:
    first = make_child()
    async with tasks() as group:
        await first.start(group)
        identity = Identity.parse(Path(paths.record("media")).read_text())
        await first.stop("now")
    second = Child.adopt(identity, Shared(paths, lambda _: None, timings=QUICK))
    async with tasks() as group:
        with pytest.raises(MachineError, match="media ended"):
            await second.start(group)
