import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from lkhub.errors import HubError, MachineError
from lkhub.host.control import ask
from lkhub.host.lock import hold_lock
from lkhub.host.processes import ProcessId, identify, is_alive, send_signal
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub
from lkhub.spec.duration import Duration
from lkhub.state.identity import read_record
from lkhub.supervise import run as run_module
from lkhub.supervise.adopt import adopt
from lkhub.supervise.left import find_running
from lkhub.supervise.run import run_hub
from lkhub.supervise.supervisor import Supervisor
from lkhub.wire.control import LeaveRequest, Outcome, StatusRequest, StopRequest
from tests.supervise.conftest import IN_A_CALL, QUICK, MakeHub, list_running, supervising
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _with_hangups() -> Iterator[None]:
    """Also where the tests themselves were started by nohup, which has SIGHUP ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Run:
    """Runs a hub; `do` is called when it is ready."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.applied: Outcome | HubError | None = None

    async def run(self, hub: PreparedHub, *commands: str) -> None:
        """Run the hub; when it is up, send it the signals, or ask it to stop, one after the other."""

        async def ready(_: Supervisor, outcome: Outcome | HubError) -> None:
            self.applied = outcome
            for command in commands:
                if command.startswith("SIG"):
                    os.kill(os.getpid(), signal.Signals[command])
                else:
                    await anyio.to_thread.run_sync(lambda: ask(hub.plan.paths.control, StopRequest(drain=False)))

        with anyio.fail_after(20):
            await run_hub(hub, self.said.append, ready)


async def test_hub_runs_until_it_is_told_to_stop(make_hub: MakeHub, paths: StatePaths) -> None:
    ran = Run()
    await ran.run(make_hub(), "stop")
    assert ran.applied == Outcome(("media", "relay", "serve"), new=("media", "relay", "serve"))
    assert list_running(paths) == []
    with hold_lock(paths):
        pass


async def test_start_removes_what_a_killed_supervisor_was_writing(make_hub: MakeHub, paths: StatePaths) -> None:
    half = Path(paths.root) / ".keys.yaml.x1y2z3_4.part"
    half.write_text("APIold: secret")
    await Run().run(make_hub(media={}), "stop")
    assert not half.exists()


async def test_lock_is_waited_for_as_long_as_the_timings_say(
    make_hub: MakeHub, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def hold(_: StatePaths, seconds: float) -> Any:
        waited.append(seconds)
        raise MachineError("another lkhub is starting")

    monkeypatch.setattr(run_module, "hold_lock", hold)
    with pytest.raises(MachineError, match="another lkhub"):
        await run_hub(make_hub(), lambda _: None, _note_nothing, QUICK)
    assert waited == [QUICK.lock]


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP"])
async def test_signal_stops_the_hub(make_hub: MakeHub, paths: StatePaths, number: str) -> None:
    ran = Run()
    await ran.run(make_hub(), number)
    assert any("people in a call may finish for up to 30s" in line for line in ran.said)
    assert list_running(paths) == []


async def test_hub_that_nohup_has_started_outlives_its_terminal(make_hub: MakeHub, paths: StatePaths) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    states: list[bool] = []

    async def ready(supervisor: Supervisor, _: Outcome | HubError) -> None:
        supervisor.tasks.start_soon(stop_later, supervisor)

    async def stop_later(supervisor: Supervisor) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await anyio.to_thread.run_sync(lambda: ask(paths.control, StatusRequest()))
        states.append(supervisor.stopping)
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        await run_hub(make_hub(), lambda _: None, ready)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert states == [False]


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP"])
async def test_signal_to_a_hub_that_is_starting_stops_it_and_is_no_error(
    make_hub: MakeHub, paths: StatePaths, number: str
) -> None:
    ran, hub = Run(), make_hub(media={"never_ready": True})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ran.run, hub)
        await until(lambda: list_running(paths) != [], "media was started")
        os.kill(os.getpid(), signal.Signals[number])
    assert ran.applied is None
    assert list_running(paths) == []


async def test_signal_to_a_hub_that_can_not_be_stopped_cuts_nothing(
    make_hub: MakeHub, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one tries it again."""
    asked: list[str] = []
    stop = Supervisor.stop

    async def fail_once(supervisor: Supervisor, how: Any) -> None:
        asked.append(how)
        if len(asked) > 1:
            await stop(supervisor, how)
        else:
            supervisor.say("tried")
            os.kill(os.getpid(), signal.SIGTERM)
            raise MachineError("media can't be ended")

    monkeypatch.setattr(Supervisor, "stop", fail_once)
    ran = Run()
    await ran.run(make_hub(), "SIGTERM")
    assert asked[:2] == ["drain", "drain"]
    assert "not stopped: media can't be ended" in ran.said
    assert list_running(paths) == []


async def test_hub_that_does_not_drain_does_not_say_that_people_may_finish(make_hub: MakeHub) -> None:
    ran = Run()
    await ran.run(with_drain(make_hub(), 0), "SIGTERM")
    assert "stopping" in ran.said


async def test_drain_is_changed_without_a_restart_and_on_record(make_hub: MakeHub, paths: StatePaths) -> None:
    hub = make_hub(media={"rooms": IN_A_CALL, "drains": True}, serve={})
    async with supervising(paths, []) as supervisor:
        await supervisor.apply(with_drain(hub, 30))
        before = {process.pid for process in list_running(paths)}
        assert await supervisor.apply(with_drain(hub, 600)) == Outcome(())
        assert {process.pid for process in list_running(paths)} == before
        assert run_module._find_drain(supervisor) == 600
        identity = read_record(paths, "media")
        assert identity is not None
        assert identity.plan.drain == 600, "`lkhub down` after the supervisor's death"
        # What is known by its mark alone has it from what is in force.
        os.unlink(paths.record("media"))
        assert next(found.identity.plan.drain for found in find_running(paths) if found.identity) == 600


async def test_process_that_does_not_drain_is_not_waited_for_though_its_record_is_lost(
    make_hub: MakeHub, paths: StatePaths
) -> None:
    hub = make_hub(media={}, serve={})
    async with supervising(paths, []) as supervisor:
        await supervisor.apply(replace(hub, plan=replace(hub.plan, drain=Duration(600))))
        os.unlink(paths.record("serve"))
        assert [found.plan.drain for found in find_running(paths) if found.name == "serve"] == [None]


async def test_drain_is_that_of_what_runs_where_a_change_to_it_was_refused(
    make_hub: MakeHub, paths: StatePaths
) -> None:
    """Also after a takeover, when nothing was applied yet."""
    before = with_drain(make_hub(media={"drains": True}, serve={}), 60)
    async with supervising(paths, [], leave=True) as first:
        await first.apply(before)
    async with supervising(paths, []) as second:
        await adopt(second)
        assert run_module._find_drain(second) == 60
        with pytest.raises(MachineError, match="not made"):
            await second.apply(with_drain(make_hub(media={"drains": True}, serve={"exit": 1}), 600))
        assert run_module._find_drain(second) == 60
        assert run_module._describe_stop(second).startswith("stopping; people in a call may finish for up to 1m ")


def with_drain(hub: PreparedHub, seconds: int) -> PreparedHub:
    processes = tuple(replace(process, drain=seconds) for process in hub.plan.processes)
    return replace(hub, plan=replace(hub.plan, drain=Duration(seconds), processes=processes))


async def test_hub_that_does_not_start_is_an_error_and_no_group_of_them(make_hub: MakeHub, paths: StatePaths) -> None:
    ran = Run()
    with pytest.raises(MachineError, match="no luck") as failed:
        await ran.run(make_hub(media={"exit": 1, "say": "no luck"}))
    assert failed.value.exit_code == 3
    assert ran.applied is None
    assert list_running(paths) == []


async def test_hub_that_was_left_is_taken_over_and_a_change_that_fails_leaves_it_running(
    make_hub: MakeHub, paths: StatePaths
) -> None:
    async with anyio.create_task_group() as tasks:
        first = Supervisor(paths, lambda _: None, tasks)
        await first.apply(make_hub(media={}, serve={}))
        before = {process.pid for process in list_running(paths)}
        tasks.cancel_scope.cancel()
    ran = Run()
    await ran.run(make_hub(media={}, serve={"exit": 1}), "stop")
    assert isinstance(ran.applied, MachineError)
    assert all(identify(number) is None for number in before), "it ended with the hub"


@pytest.mark.parametrize("how", ["adopt", "apply", "socket", "ready"])
@pytest.mark.parametrize("error", [MachineError("no luck"), RuntimeError("bug"), OSError(28, "full")], ids=repr)
async def test_start_that_fails_leaves_what_was_taken_over_running(
    make_hub: MakeHub, paths: StatePaths, monkeypatch: pytest.MonkeyPatch, how: str, error: Exception
) -> None:
    """It may carry a call, which the next supervisor keeps."""
    hub = make_hub()
    async with supervising(paths, [], leave=True) as first:
        await first.apply(hub)
        before = {process.pid for process in list_running(paths)}

    async def fail(*_: object, **__: object) -> None:
        raise error

    if how == "adopt":
        monkeypatch.setattr("lkhub.supervise.adopt._keep_calls", fail)
    elif how == "apply":
        monkeypatch.setattr(Supervisor, "apply", fail)
    elif how == "socket":
        monkeypatch.setattr("lkhub.supervise.answering.Answering.look", fail)
    goes_on = (how == "ready" and isinstance(error, OSError)) or (how == "apply" and isinstance(error, MachineError))
    said: list[str] = []
    with anyio.move_on_after(0.5 if goes_on else 20) as scope:
        ready = fail if how == "ready" else _note_nothing
        with pytest.raises((HubError, BaseExceptionGroup)) if not goes_on else contextlib.nullcontext():
            await run_hub(hub, said.append, ready)
    assert scope.cancelled_caught == goes_on
    if goes_on:
        assert list_running(paths) == [], "it was stopped in order, as by a signal"
        return
    assert {process.pid for process in list_running(paths)} == before
    assert all(read_record(paths, name) is not None for name in ("media", "relay", "serve"))
    ran = Run()
    monkeypatch.undo()
    await ran.run(hub, "stop")
    assert ran.applied == Outcome(()), "the next one takes over the same"


async def test_supervisor_that_leaves_ends_nothing_else(make_hub: MakeHub, paths: StatePaths) -> None:
    """What `lkhub install` asks of it, when the unit or the program is another."""
    hub = make_hub()

    async def ready(supervisor: Supervisor, _: Outcome | HubError) -> None:
        supervisor.tasks.start_soon(lambda: anyio.to_thread.run_sync(lambda: ask(paths.control, LeaveRequest())))

    with pytest.raises(MachineError, match="left its processes to the next one"):
        await run_hub(hub, lambda _: None, ready)
    left = {name: read_record(paths, name) for name in ("media", "relay", "serve")}
    assert all(record is not None and is_alive(record.process) for record in left.values())
    ran = Run()
    await ran.run(hub, "stop")
    assert ran.applied == Outcome(()), "the next one takes over the same"


async def test_service_manager_hears_that_the_supervisor_goes_on_and_that_it_stops(
    make_hub: MakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "20000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)

        async def ready(supervisor: Supervisor, _: Outcome | HubError) -> None:
            supervisor.tasks.start_soon(stop_when_heard)

        async def stop_when_heard() -> None:
            heard.extend([(await anyio.to_thread.run_sync(manager.recv, 4096)).decode() for _ in range(3)])
            os.kill(os.getpid(), signal.SIGTERM)

        manager.settimeout(10)
        await run_hub(make_hub(), lambda _: None, ready)
        assert heard == ["WATCHDOG=1"] * 3
        manager.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(manager.recv(4096).decode())
    assert any(text.startswith("STATUS=stopping") for text in heard)


async def _note_nothing(_: Supervisor, __: Outcome | HubError) -> None:
    pass


async def test_failing_report_of_the_start_ends_no_hub(make_hub: MakeHub, paths: StatePaths) -> None:
    """A disk that is full, or a reader that has gone."""
    told: list[bool] = []

    async def ready(supervisor: Supervisor, _: Outcome | HubError) -> None:
        supervisor.tasks.start_soon(go_on)
        raise OSError(28, "No space left on device")

    async def go_on() -> None:
        status = await anyio.to_thread.run_sync(lambda: ask(paths.control, StatusRequest()))
        told.append(all(process.state == "running" for process in status.processes))
        await anyio.to_thread.run_sync(lambda: ask(paths.control, StopRequest(drain=False)))

    said: list[str] = []
    await run_hub(make_hub(), said.append, ready)
    assert told == [True]
    assert "can't report on the start of the hub: OSError (No space left on device)" in said


async def test_bug_is_not_taken_for_an_error_of_the_users(make_hub: MakeHub, paths: StatePaths) -> None:
    async def ready(_: Supervisor, __: Outcome | HubError) -> None:
        raise RuntimeError("bug")

    with pytest.raises(BaseExceptionGroup):
        await run_hub(make_hub(), lambda _: None, ready)
    assert list_running(paths) == []


@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
async def test_two_signals_at_once_stop_the_hub_at_once(make_hub: MakeHub, paths: StatePaths, second: str) -> None:
    """The second arrives before media was told to drain."""
    ran = Run()
    await ran.run(with_drain(make_hub(media={"rooms": IN_A_CALL, "drains": True}, serve={}), 3600), "SIGHUP", second)
    assert "stopping now" in ran.said
    assert list_running(paths) == []


async def test_second_signal_leaves_alone_what_ends_after_the_drain(
    make_hub: MakeHub, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end the relay and serve before their turn, and they would be started again. When their turn comes, they
    end at once too."""
    said: list[str] = []
    ended: list[ProcessId] = []
    stopped = anyio.Event()

    def note(process: ProcessId, number: signal.Signals) -> None:
        ended.append(process)
        assert process == media or not (media and is_alive(media))
        send_signal(process, number)

    async with supervising(paths, said) as supervisor:
        drains = {"rooms": IN_A_CALL, "drains": True}
        await supervisor.apply(with_drain(make_hub(media=drains, serve=drains), 3600))
        media, serve = (supervisor.children[name].process for name in ("media", "serve"))

        async def stop() -> None:
            await supervisor.stop("drain")
            stopped.set()

        supervisor.tasks.start_soon(stop)
        await until(lambda: "drain {" in Path(paths.log("media")).read_text(), "the drain")
        monkeypatch.setattr("lkhub.host.processes.send_signal", note)
        supervisor.stop_now()
        await until(stopped.is_set, "the end", 20)
    assert ended == [media, serve]
    assert not [line for line in said if "again" in line]
    assert "drain {" not in Path(paths.log("serve")).read_text()
