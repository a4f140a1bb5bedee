"""A change of the running processes, made completely or not at all."""

import os
import signal
import socket
import sys
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.host import files, processes
from lkhub.host.ports import require_free_ports
from lkhub.plan.model import Listener
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub
from lkhub.spec.ports import PortRange
from lkhub.supervise.adopt import adopt
from lkhub.supervise.change import Change
from lkhub.supervise.supervisor import Supervisor
from lkhub.wire.control import Outcome
from tests.kit.ports import free_port
from tests.supervise.conftest import HOLD, IN_A_CALL, MakeHub, list_running, pids, states, supervising
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("adopted", [False, True])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_change_to_a_taken_port_interrupts_no_call(
    paths: StatePaths, said: list[str], make_hub: MakeHub, protocol: Any, adopted: bool
) -> None:
    """It is refused before media is stopped, also with --now."""
    port = free_port()
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    holder = processes.start([sys.executable, "-c", HOLD, str(port), str(int(kind))], paths.log("holder"), os.environ)
    await until(lambda: "holds" in Path(paths.log("holder")).read_text(), "the port")
    listener = Listener("media", protocol, ip_address("127.0.0.1"), PortRange(port, port), "media", ("media", "udp"))
    wanted = make_hub(listeners=(listener,), media={"say": "new"}, serve={"say": "new"})
    good = make_hub(media={"rooms": IN_A_CALL}, serve={})
    async with supervising(paths, said, leave=True) as first:
        await first.apply(good)
        before = pids(first)
        if not adopted:
            await refuse_taken(first, wanted, holder.pid, before)
    async with supervising(paths, said) as second:
        await adopt(second)
        await refuse_taken(second, wanted, holder.pid, before)
        assert {path: Path(path).read_text() for path in good.files} == good.files
        assert await second.apply(good) == Outcome(())


async def refuse_taken(supervisor: Supervisor, wanted: PreparedHub, holder: int, before: dict[str, int | None]) -> None:
    with pytest.raises(MachineError, match="the change was not made, and nothing was interrupted") as refused:
        await supervisor.apply(wanted, now=True)
    assert f"(pid {holder})" in refused.value.message
    assert pids(supervisor) == before
    assert all(child.restarts == 0 for child in supervisor.children.values())


async def test_refused_change_does_not_say_that_what_is_down_is_running(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system that is read-only by now nothing that ends starts again."""
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))

        def refuse(path: str, text: str) -> None:
            if files.read_text(path) != text:
                raise MachineError("can't write it: the file system is read-only")

        with monkeypatch.context() as disk:
            disk.setattr(files, "write_private", refuse)
            supervisor.children["serve"].state = "backoff"
            with pytest.raises(MachineError) as refused:
                await supervisor.apply(make_hub(media={}, serve={"say": "new"}))
            supervisor.children["serve"].state = "running"
        assert "the change was not made" in refused.value.message
        assert "running again" not in refused.value.message
        assert "`lkhub status` shows what does not run" in refused.value.message


async def test_port_that_the_hub_itself_has_is_no_reason_to_refuse_a_change(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    """What has it is stopped before the port is needed."""
    port = free_port()
    listener = Listener("media", "tcp", ip_address("127.0.0.1"), PortRange(port, port), "media", ("media", "udp"))
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(listeners=(listener,), media={"binds": port}, serve={}))
        before = pids(supervisor)
        await supervisor.apply(make_hub(listeners=(listener,), media={"binds": port, "say": "new"}, serve={}))
        assert pids(supervisor)["media"] != before["media"]
        assert "new" in Path(paths.log("media")).read_text()


async def test_change_to_a_missing_engine_interrupts_no_call(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        before = pids(supervisor)
        wanted = make_hub(media={"say": "new"}, serve={})
        media, serve = wanted.plan.processes
        media = replace(media, argv=(f"{paths.root}/nowhere", *media.argv[1:]))
        wanted = replace(wanted, plan=replace(wanted.plan, processes=(media, serve)))
        with pytest.raises(MachineError, match=r"is missing\nthe change was not made, and nothing was interrupted"):
            await supervisor.apply(wanted, now=True)
        assert pids(supervisor) == before
        supervisor.children["media"].plan = media
        with pytest.raises(MachineError, match="is missing"):
            await supervisor.restart(["serve", "media"])
        assert pids(supervisor) == before


async def test_port_that_a_process_of_the_hub_holds_is_free_for_the_next_one(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    """Also a child of such a process, for example of a script as `engine`."""
    port = free_port()
    listener = Listener("media", "udp", ip_address("127.0.0.1"), PortRange(port, port), "media", ("media", "udp"))
    hub = make_hub(media={})
    [actor] = hub.plan.processes
    script = f"{paths.root}/engine"
    Path(script).write_text(f'#!/bin/sh\n{sys.executable} -c "{HOLD}" {port} 2 &\n{" ".join(actor.argv[:3])} "$@"\n')
    os.chmod(script, 0o700)
    hub = replace(hub, plan=replace(hub.plan, processes=(replace(actor, argv=(script, *actor.argv[3:])),)))
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(hub)
        await until(lambda: "holds" in Path(paths.log("media")).read_text(), "the port")
        media = supervisor.children["media"].process
        assert media is not None
        try:
            require_free_ports([listener], but=lambda _, pid: pid is not None and supervisor.fleet.is_own(pid))
            with pytest.raises(MachineError):
                require_free_ports([listener])
        finally:
            await supervisor.stop("replace")
            os.killpg(media.pid, signal.SIGKILL)


STEPS = ["_write", "_reload", "_stop_old", "_close_sockets", "_start_new"]


@pytest.mark.parametrize("error", [MachineError("no luck"), RuntimeError("a bug"), OSError(28, "full")], ids=repr)
@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("step", STEPS)
async def test_failure_in_any_step_is_undone_as_a_whole(
    paths: StatePaths,
    said: list[str],
    make_hub: MakeHub,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    begun: bool,
    error: Exception,
) -> None:
    """Whether the step has done its work or not: what ran before runs, with its files and its environment."""
    good = replace(make_hub(media={}, serve={}, edge={"say": "old"}), environ={"TOKEN": "old"})
    wanted = make_hub(media={"say": "new"}, relay={}, edge={"say": "new"})
    wanted = replace(wanted, environ={"TOKEN": "new"}, files={**wanted.files, paths.render("new"): "x"})
    take_step = getattr(Change, step)

    def fail(change: Change, *given: Any) -> Any:
        async def fail_later() -> None:
            if begun:
                await take_step(change, *given)
            raise error

        if step not in ("_write", "_close_sockets"):
            return fail_later()
        if begun:
            take_step(change, *given)
        raise error

    async with supervising(paths, said) as supervisor:
        await supervisor.apply(good)
        edge = pids(supervisor)["edge"]
        with monkeypatch.context() as failing:
            failing.setattr(Change, step, fail)
            with pytest.raises(type(error)):
                await supervisor.apply(wanted, now=True)
        assert states(supervisor) == {"media": "running", "serve": "running", "edge": "running"}
        assert pids(supervisor)["edge"] == edge, "it was reloaded at most"
        assert {path: Path(path).read_text() for path in good.files} == good.files
        assert not os.path.exists(paths.render("new"))
        assert supervisor.shared.environ == {"TOKEN": "old"}
        assert {process.pid for process in list_running(paths)} == set(pids(supervisor).values())
        assert await supervisor.apply(good) == Outcome(())
