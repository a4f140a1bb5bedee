import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import anyio
import anyio.abc
import psutil
import pytest

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.host.processes import ProcessId, identify, is_alive
from lkhub.plan.model import Fingerprint
from lkhub.plan.paths import StatePaths
from lkhub.supervise import child as child_module
from lkhub.supervise import ending
from lkhub.supervise.child import Child
from lkhub.supervise.doors import Doors
from lkhub.supervise.ending import Ending, end_process
from lkhub.supervise.record import Identity
from tests.kit.ports import free_port
from tests.supervise.conftest import list_running, plan_actor
from tests.waiting import until

pytestmark = pytest.mark.anyio

PRINT = Fingerprint("program", "files")

Make = Callable[..., Child]


@pytest.fixture
def make(paths: StatePaths, said: list[str]) -> Make:
    """`make(exit=3, say="…")`: a child whose actor behaves so."""

    def make_child(**config: Any) -> Child:
        write_config(paths, **config)
        return Child(plan_actor(paths, "media"), PRINT, paths, Doors(), said.append, ignore)

    return make_child


async def ignore(_: Child) -> None:
    """Nobody has to hear that a child is there again."""


def write_config(paths: StatePaths, **config: Any) -> None:
    Path(paths.render("livekit.yaml")).write_text(json.dumps(config))


@asynccontextmanager
async def tasks() -> AsyncIterator[anyio.abc.TaskGroup]:
    async with anyio.create_task_group() as group:
        with anyio.fail_after(20):
            yield group
        group.cancel_scope.cancel()


def pid(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


async def test_child_is_running_when_it_says_that_it_is_ready(make: Make, paths: StatePaths) -> None:
    child = make(say="at your service")
    async with tasks() as group:
        await child.start(group)
        assert child.state == "running"
        assert [process.pid for process in list_running(paths)] == [pid(child)]
        assert child.as_json() == {
            "name": "media",
            "pid": pid(child),
            "state": "running",
            "since": child.since,
            "restarts": 0,
        }
        assert Path(paths.log("media")).read_text() == "at your service\n"
        await child.stop("now")


async def test_child_leaves_word_of_who_it_is_for_the_next_supervisor(make: Make, paths: StatePaths) -> None:
    child = make()
    record = Path(paths.record("media"))
    async with tasks() as group:
        await child.start(group)
        identity = Identity.parse(record.read_text())
        assert (identity.process, identity.plan, identity.fingerprint) == (child.process, child.plan, PRINT)
        assert record.stat().st_mode & 0o777 == 0o600
        await child.stop("now")
    assert not record.exists()


@pytest.mark.parametrize("how", ["drain", "now", "replace"])
async def test_stopped_child_is_gone_and_does_not_come_back(make: Make, paths: StatePaths, how: Any) -> None:
    child = make()
    async with tasks() as group:
        await child.start(group)
        await child.stop(how)
        assert (child.state, child.process, child.restarts) == ("stopped", None, 0)
        assert list_running(paths) == []
        await child.stop(how)


async def test_stopped_child_leaves_no_zombie(make: Make) -> None:
    child = make()
    async with tasks() as group:
        for _ in range(5):
            await child.start(group)
            before = pid(child)
            await child.stop("replace")
            assert not psutil.pid_exists(before)


async def test_stopped_child_can_be_started_again(make: Make) -> None:
    child = make()
    async with tasks() as group:
        await child.start(group)
        before = pid(child)
        await child.stop("replace")
        await child.start(group)
        assert child.state == "running"
        assert pid(child) != before
        await child.stop("now")


async def test_child_that_dies_is_started_again_at_once(make: Make, said: list[str]) -> None:
    child = make(say="i was here")
    async with tasks() as group:
        await child.start(group)
        before = pid(child)
        os.kill(before, signal.SIGKILL)
        await until(lambda: child.state == "running" and pid(child) != before, "the restart")
        assert child.restarts == 1
        assert "media was killed by signal 9" in said[0]
        assert "i was here" in said[0], "the end of its log is in the report"
        await child.stop("now")


async def test_record_on_disk_follows_the_restart(make: Make, paths: StatePaths) -> None:
    child = make()
    async with tasks() as group:
        await child.start(group)
        before = pid(child)
        os.kill(before, signal.SIGKILL)
        await until(lambda: child.state == "running" and pid(child) != before, "the restart")
        assert Identity.parse(Path(paths.record("media")).read_text()).process == child.process
        await child.stop("now")


async def test_child_that_keeps_dying_is_started_less_often_until_it_lives(
    make: Make, paths: StatePaths, said: list[str]
) -> None:
    child = make()
    async with tasks() as group:
        await child.start(group)
        write_config(paths, exit=3, say="no luck")
        os.kill(pid(child), signal.SIGKILL)
        await until(lambda: child.restarts >= 3, "three failures")
        assert "ended with exit code 3" in said[-1]
        assert re.search(r"again in 0\.\d s$", said[-1])
        write_config(paths)
        await until(lambda: child.state == "running", "the recovery")
        await child.stop("now")


async def test_child_that_waits_for_its_next_start_can_be_stopped(make: Make, paths: StatePaths) -> None:
    child = make()
    async with tasks() as group:
        await child.start(group)
        write_config(paths, exit=3)
        os.kill(pid(child), signal.SIGKILL)
        await until(lambda: child.state == "backoff" and child.restarts >= 2, "the wait")
        await child.stop("now")
        assert child.state == "stopped"
        assert list_running(paths) == []


async def test_first_start_that_fails_is_an_error_with_the_end_of_the_log(make: Make, paths: StatePaths) -> None:
    child = make(exit=3, say="the disk is on fire")
    async with tasks() as group:
        with pytest.raises(MachineError) as failed:
            await child.start(group)
    assert "media ended with exit code 3" in failed.value.message
    assert "the disk is on fire" in failed.value.message
    assert paths.log("media") in failed.value.message
    assert (child.state, child.restarts) == ("failed", 0)
    assert not os.path.exists(paths.record("media"))


async def test_report_shows_few_and_short_lines(make: Make) -> None:
    child = make(exit=1, say="\n".join(["x" * 1000] * 100))
    async with tasks() as group:
        with pytest.raises(MachineError) as failed:
            await child.start(group)
    assert len(failed.value.message) < 4000


async def test_program_that_is_missing_is_an_error(make: Make) -> None:
    child = make()
    child.plan = replace(child.plan, argv=("/nowhere/engine",))
    async with tasks() as group:
        with pytest.raises(MachineError, match="can't start /nowhere/engine: no such file"):
            await child.start(group)
        await child.stop("now")


async def test_child_that_is_never_ready_is_ended(
    make: Make, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "READY_SECONDS", 0.2)
    child = make(never_ready=True)
    async with tasks() as group:
        with pytest.raises(MachineError, match="media was not ready within"):
            await child.start(group)
    assert list_running(paths) == []


async def test_child_can_be_stopped_while_it_starts(make: Make, paths: StatePaths) -> None:
    child = make(never_ready=True)

    async def start() -> None:
        await child.start(group)

    async with tasks() as group:
        group.start_soon(start)
        await until(lambda: child.process, "the start")
        await child.stop("now")
        assert child.state == "stopped"
    assert list_running(paths) == []


async def test_deaf_child_is_killed(make: Make, paths: StatePaths) -> None:
    child = make(deaf=True)
    async with tasks() as group:
        await child.start(group)
        await child.stop("now")
    assert list_running(paths) == []


async def test_drain_waits_for_the_process_and_can_be_cut_short(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    child = make(deaf=True)
    stopped = anyio.Event()

    async def drain() -> None:
        await child.stop("drain")
        stopped.set()

    async with tasks() as group:
        await child.start(group)
        process = child.process
        assert process is not None
        group.start_soon(drain)
        await anyio.wait_all_tasks_blocked()
        assert child.as_json()["state"] == "stopping"
        child.stop_now()
        assert is_alive(process)
        os.kill(process.pid, signal.SIGKILL)
        await until(stopped.is_set, "the end of the drain")
        assert child.state == "stopped"


@pytest.mark.parametrize("drain", [0, 1])
async def test_drain_lasts_as_long_as_the_spec_says(make: Make, monkeypatch: pytest.MonkeyPatch, drain: int) -> None:
    monkeypatch.setattr(ending, "STOP_GRACE_SECONDS", 0.1)
    child = make(deaf=True)
    child.plan = replace(child.plan, drain=drain)
    async with tasks() as group:
        await child.start(group)
        began = anyio.current_time()
        await child.stop("drain")
        assert drain <= anyio.current_time() - began < drain + 10


async def test_drain_is_told_and_no_signal_ends_it_before(make: Make, paths: StatePaths) -> None:
    """A second signal would cut the calls off."""
    child = make(drains=True)
    child.plan = replace(child.plan, drain=3600)
    async with tasks() as group:
        await child.start(group)
        process = child.process
        assert process is not None
        for _ in range(2):  # the supervisor died meanwhile, and another one drains it too
            with anyio.move_on_after(0.3):
                await end_process(process, "drain", child.plan)
        log = Path(paths.log("media"))
        await until(lambda: log.read_text().count("drain {") == 2, "both")
        assert log.read_text().splitlines()[1:] == ['drain {"seconds":3600}'] * 2
        assert is_alive(process), "SIGTERM ends an actor"
        await child.stop("now")


async def test_one_that_can_not_be_told_to_drain_gets_a_signal(make: Make) -> None:
    """As engines of the first version."""
    child = make()
    async with tasks() as group:
        await child.start(group)
        process = child.process
        assert process is not None
        with anyio.fail_after(10):
            await end_process(process, "drain", child.plan)
        assert not is_alive(process)
        await child.stop("now")


async def test_another_process_at_the_same_socket_is_not_told_to_drain(make: Make, paths: StatePaths) -> None:
    """The second of a kind has bound its socket where the first one had its own."""
    first, second = make(drains=True), make(drains=True)
    async with tasks() as group:
        await first.start(group)
        os.unlink(paths.socket("media"))
        await second.start(group)
        with anyio.fail_after(10):
            await first.stop("drain")
        assert "drain" not in Path(paths.log("media")).read_text()
        await second.stop("now")


async def test_record_of_an_earlier_version_drains_as_that_did(make: Make) -> None:
    child = make()
    identity = Identity(ProcessId(1, "a"), replace(child.plan, drain=600), PRINT, 1.0)
    assert Identity.parse(identity.dump()) == identity
    record = json.loads(identity.dump())
    del record["plan"]["drain"]
    assert Identity.parse(json.dumps(record)).plan.drain == 30


def refuse(*_: object) -> bool:
    raise MachineError("the disk is full")


async def test_record_that_cannot_be_written_leaves_no_process_that_nobody_knows(
    make: Make, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would hold the port of the next one."""
    monkeypatch.setattr(files, "write_private", refuse)
    child = make()
    async with tasks() as group:
        try:
            await child.start(group)
        except MachineError:
            assert list_running(paths) == []
        else:
            assert [process.pid for process in list_running(paths)] == [pid(child)]
        await child.stop("now")
    assert list_running(paths) == []


async def test_child_stops_where_nothing_can_be_written_any_more(
    make: Make, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worn-out SD card turns read-only."""
    child = make()
    async with tasks() as group:
        await child.start(group)
        monkeypatch.setattr(files, "remove", refuse)
        monkeypatch.setattr(files, "write_private", refuse)
        await child.stop("now")
        assert child.state == "stopped"
    assert list_running(paths) == []


async def test_running_process_is_taken_over_and_kept(make: Make, paths: StatePaths, said: list[str]) -> None:
    first = make()
    async with tasks() as group:
        await first.start(group)
    # The first supervisor is gone, and the process lives on.
    identity = Identity.parse(Path(paths.record("media")).read_text())
    assert is_alive(identity.process)
    second = Child.adopt(identity, paths, Doors(), said.append, ignore)
    async with tasks() as group:
        await second.start(group)
        assert (second.state, second.process, second.since) == ("running", identity.process, identity.since)
        os.kill(identity.process.pid, signal.SIGKILL)
        await until(lambda: second.state == "running" and second.process != identity.process, "the restart")
        assert second.restarts == 1
        await second.stop("now")
    assert list_running(paths) == []


async def test_process_that_ends_while_it_is_taken_over_is_an_error(make: Make, paths: StatePaths) -> None:
    first = make()
    async with tasks() as group:
        await first.start(group)
        identity = Identity.parse(Path(paths.record("media")).read_text())
        await first.stop("now")
    second = Child.adopt(identity, paths, Doors(), lambda _: None, ignore)
    async with tasks() as group:
        with pytest.raises(MachineError, match="media ended"):
            await second.start(group)


async def test_child_is_not_told_what_a_livekit_server_would_obey(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_KEYS", "API: XYZ")
    child = make()
    async with tasks() as group:
        await child.start(group)
        environ = Path(f"/proc/{pid(child)}/environ").read_bytes()
        assert b"LIVEKIT_KEYS" not in environ
        await child.stop("now")


async def test_doors_are_given_as_listening_descriptors(make: Make, said: list[str]) -> None:
    child = make()
    port = free_port()
    child.plan = replace(child.plan, doors=(("127.0.0.1", port),))
    async with tasks() as group:
        await child.start(group)
        words = Path(f"/proc/{pid(child)}/cmdline").read_text().split("\0")
        number = words[words.index("--listen-fd") + 1]
        assert os.readlink(f"/proc/{pid(child)}/fd/{number}").startswith("socket:")
        await child.stop("now")
    child.doors.close_except(set())


async def test_control_socket_is_the_same_after_a_restart(make: Make, paths: StatePaths) -> None:
    """Where nothing can be written any more it could not be bound again."""
    child = make()
    async with tasks() as group:
        await child.start(group)
        before, file = pid(child), files.identify(paths.socket("media"))
        os.kill(before, signal.SIGKILL)
        await until(lambda: child.state == "running" and pid(child) != before, "the restart")
        assert files.identify(paths.socket("media")) == file
        await child.stop("now")


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"process": {"pid": "x"}}', "null"])
async def test_record_that_is_not_ours_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        Identity.parse(text)


async def test_identity_is_read_as_it_was_written(paths: StatePaths) -> None:
    me = identify(os.getpid())
    assert me is not None
    plan = replace(plan_actor(paths, "media"), doors=(("127.0.0.1", 7880), ("::1", 7880)))
    identity = Identity(me, plan, PRINT, 12.5)
    assert Identity.parse(identity.dump()) == identity


async def test_process_that_is_gone_is_ended_at_once() -> None:
    me = identify(os.getpid())
    assert me is not None
    endings: tuple[Ending, ...] = get_args(Ending)
    for how in endings:
        with anyio.fail_after(5):
            await end_process(replace(me, started="another"), how, None)
