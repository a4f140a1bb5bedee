"""How a process ends: by a drain, by signals, by a kill."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import get_args

import anyio
import anyio.abc
import pytest

from lkhub.host.processes import ProcessId, identify, is_alive, send_signal
from lkhub.plan.paths import StatePaths
from lkhub.state.identity import Identity
from lkhub.supervise.ending import Ending, end_process
from tests.supervise.conftest import PRINT, QUICK, MakeChild, list_running, plan_actor, tasks
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_deaf_child_is_killed(make_child: MakeChild, paths: StatePaths) -> None:
    child = make_child(deaf=True)
    async with tasks() as group:
        await child.start(group)
        await child.stop("now")
    assert list_running(paths) == []


@pytest.mark.parametrize("deaf", [True, False])
async def test_drain_waits_for_the_process_and_can_be_cut_short(
    make_child: MakeChild, paths: StatePaths, deaf: bool
) -> None:
    """One that ignores the signal is killed, however long its drain may last."""
    child = make_child(deaf=deaf, drains=True)
    child.plan = replace(child.plan, drain=3600)
    stopped = anyio.Event()

    async def drain() -> None:
        await child.stop("drain")
        stopped.set()

    async with tasks() as group:
        await child.start(group)
        process = child.process
        assert process is not None
        group.start_soon(drain)
        await until(lambda: "drain {" in Path(paths.log("media")).read_text(), "the drain")
        assert not stopped.is_set()
        assert is_alive(process)
        child.stop_now()
        await until(stopped.is_set, "the end of the drain")
        assert child.state == "stopped"
        assert list_running(paths) == []


async def test_drain_for_which_two_ask_can_be_cut_short(make_child: MakeChild, paths: StatePaths) -> None:
    """As `lkhub down` and Ctrl-C. The second has given up by then."""
    child = make_child(drains=True)
    child.plan = replace(child.plan, drain=3600)
    stopped = anyio.Event()

    async def drain() -> None:
        await child.stop("drain")
        stopped.set()

    async with tasks() as group:
        await child.start(group)
        group.start_soon(drain)
        log = Path(paths.log("media"))
        await until(lambda: log.read_text().count("drain {") == 1, "the drain")
        with anyio.CancelScope() as second:

            async def give_up() -> None:
                await until(lambda: log.read_text().count("drain {") == 2, "both")
                second.cancel()

            group.start_soon(give_up)
            await child.stop("drain")
        child.stop_now()
        await until(stopped.is_set, "the end of the drain")
        assert list_running(paths) == []


async def test_process_that_drains_gets_time_to_stop_in_order(
    make_child: MakeChild, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its second signal would end it before its clients are told."""
    sent: list[float] = []

    def note(process: ProcessId, number: signal.Signals) -> None:
        sent.append(anyio.current_time())
        send_signal(process, number)

    monkeypatch.setattr("lkhub.host.processes.send_signal", note)
    child = make_child(deaf=True, drains=True)
    child.shared.timings = replace(QUICK, stop_grace=1)
    async with tasks() as group:
        await child.start(group)
        group.start_soon(child.stop, "drain")
        await until(lambda: "drain {" in Path(paths.log("media")).read_text(), "the drain")
        child.stop_now()
        await until(lambda: child.state == "stopped", "the end of the drain")
    assert len(sent) == 3, "SIGKILL is the last"
    assert sent[1] - sent[0] > 0.9


async def test_process_is_told_to_drain_though_the_drain_is_cut_short_before(
    make_child: MakeChild, paths: StatePaths
) -> None:
    """Otherwise the one signal that follows would only begin the drain."""
    child = make_child(drains=True)
    async with tasks() as group:
        await child.start(group)
        assert child.process is not None
        with anyio.CancelScope() as scope:
            scope.cancel()
            await end_process(child.process, "drain", child.plan, QUICK)
        await until(lambda: "drain {" in Path(paths.log("media")).read_text(), "the drain")
        await child.stop("now")


@pytest.mark.parametrize("drain", [0, 1])
async def test_drain_lasts_as_long_as_the_spec_says(
    make_child: MakeChild, monkeypatch: pytest.MonkeyPatch, drain: int
) -> None:
    child = make_child(deaf=True)
    child.plan = replace(child.plan, drain=drain)
    async with tasks() as group:
        await child.start(group)
        began = anyio.current_time()
        await child.stop("drain")
        assert drain <= anyio.current_time() - began < drain + 10


async def test_drain_is_told_and_no_signal_ends_it_before(make_child: MakeChild, paths: StatePaths) -> None:
    """A second signal would cut the calls off."""
    child = make_child(drains=True)
    child.plan = replace(child.plan, drain=3600)
    async with tasks() as group:
        await child.start(group)
        process = child.process
        assert process is not None
        for _ in range(2):  # the supervisor died meanwhile, and another one drains it too
            with anyio.move_on_after(0.3):
                await end_process(process, "drain", child.plan, QUICK)
        log = Path(paths.log("media"))
        await until(lambda: log.read_text().count("drain {") == 2, "both")
        assert log.read_text().splitlines()[1:] == ['drain {"version":1,"seconds":3600}'] * 2
        assert is_alive(process), "SIGTERM ends an actor"
        await child.stop("now")


async def test_process_that_can_not_be_told_to_drain_gets_a_signal(make_child: MakeChild) -> None:
    """As engines of the first version."""
    child = make_child()
    async with tasks() as group:
        await child.start(group)
        process = child.process
        assert process is not None
        with anyio.fail_after(10):
            await end_process(process, "drain", child.plan, QUICK)
        assert not is_alive(process)
        await child.stop("now")


async def test_another_process_at_the_same_socket_is_not_told_to_drain(
    make_child: MakeChild, paths: StatePaths
) -> None:
    """The second of a kind has bound its socket where the first one had its own."""
    first, second = make_child(drains=True), make_child(drains=True)
    async with tasks() as group:
        await first.start(group)
        os.unlink(paths.socket("media"))
        await second.start(group)
        with anyio.fail_after(10):
            await first.stop("drain")
        assert "drain" not in Path(paths.log("media")).read_text()
        await second.stop("now")


async def test_record_of_an_earlier_version_drains_as_that_did(make_child: MakeChild) -> None:
    child = make_child()
    identity = Identity(ProcessId(1, "a"), "/state", replace(child.plan, drain=600), PRINT, 1.0)
    assert Identity.parse(identity.dump()) == identity
    record = json.loads(identity.dump())
    del record["plan"]["drain"]
    assert Identity.parse(json.dumps(record)).plan.drain == 30


async def test_process_that_is_gone_is_ended_at_once(paths: StatePaths) -> None:
    me = identify(os.getpid())
    assert me is not None
    endings: tuple[Ending, ...] = get_args(Ending)
    for how in endings:
        with anyio.fail_after(5):
            await end_process(replace(me, started="another"), how, plan_actor(paths, "media"), QUICK)
