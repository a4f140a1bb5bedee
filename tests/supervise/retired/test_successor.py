"""Agents that go on until their successors have registered, or that get none."""

import shlex
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lkhub.plan.paths import StatePaths
from lkhub.plan.process import ProcessPlan
from lkhub.prepare.hub import PreparedHub
from lkhub.state.identity import write_retired
from lkhub.supervise.adopt import adopt
from lkhub.wire.control import Outcome
from tests.supervise.conftest import MakeHub, pids, supervising
from tests.supervise.retired.conftest import AGENT, busy, retired_states, started, with_agent
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_agent_takes_rooms_until_its_successor_has_registered(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path, registered: set[int]
) -> None:
    """Its successor may have to be installed first, and may never be. The next supervisor waits too, and a version
    that came between waits for nothing."""
    async with supervising(paths, said, leave=True) as first:
        await first.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        old = pids(first)[AGENT] or 0
        await started(paths, "old")
        await first.apply(with_agent(make_hub(media={}, serve=busy(calls, "between"))))
        between = pids(first)[AGENT] or 0
        await started(paths, "old", "between")
        hub = with_agent(make_hub(media={}, serve={"say": "new"}))
        await first.apply(hub)
        assert retired_states(first) == {old: "running", between: "stopping"}
        since = first.fleet.retired.list()[0].since
    async with supervising(paths, said) as second:
        await adopt(second, hub.plan.processes)
        assert await second.apply(hub) == Outcome(())
        assert retired_states(second) == {old: "running", between: "stopping"}
        assert min(each.since for each in second.fleet.retired.list()) == since
        registered.add(old)
        await until(lambda: retired_states(second)[old] == "stopping", "it is told")
        calls.touch()
        await until(lambda: not retired_states(second), "its end")


def in_shell(hub: PreparedHub) -> PreparedHub:
    """The hub, whose agent is started by a shell, which passes no signal on."""

    def wrap(process: ProcessPlan) -> ProcessPlan:
        argv = ("/bin/sh", "-c", f"{shlex.join(process.argv)}; true")
        return replace(process, argv=argv) if process.registers else process

    return replace(hub, plan=replace(hub.plan, processes=tuple(map(wrap, hub.plan.processes))))


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("how", ["retires", "stops"])
async def test_what_a_shell_has_started_is_told_and_ended_too(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path, how: str
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(in_shell(with_agent(make_hub(media={}, serve=busy(calls)))))
        await started(paths, "old")
        shell = psutil.Process(pids(supervisor)[AGENT])
        [agent] = shell.children()
        if how == "stops":
            await supervisor.stop("now")
            await until(lambda: is_gone(agent), "its end")
            return
        await supervisor.apply(with_agent(make_hub(media={}, serve={"say": "new"})))
        await until(lambda: is_gone(shell), "the end of the shell")
        assert not is_gone(agent)
        assert retired_states(supervisor) == {shell.pid: "stopping"}, "it finishes its calls"
        calls.touch()
        await until(lambda: not retired_states(supervisor), "its end")
        assert is_gone(agent)


async def test_shell_that_is_killed_leaves_no_agent_beside_the_next_one(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(in_shell(with_agent(make_hub(media={}, serve=busy(calls)))))
        await started(paths, "old")
        shell = psutil.Process(pids(supervisor)[AGENT])
        [agent] = shell.children()
        shell.kill()
        await started(paths, "old", "old")
        assert is_gone(agent)


async def test_agent_that_is_removed_waits_for_no_successor(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path, registered: set[int]
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        old = pids(supervisor)[AGENT] or 0
        await started(paths, "old")
        await supervisor.apply(make_hub(media={}))
        await until(lambda: retired_states(supervisor) == {old: "stopping"}, "it is told")
    assert registered == set()


async def test_time_of_one_that_ends_does_not_begin_anew(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    hub = make_hub(media={})
    async with supervising(paths, said, leave=True) as first:
        await first.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        old = pids(first)[AGENT]
        await started(paths, "old")
        await first.apply(hub)
        [retired] = first.fleet.retired.list()
        retired.since -= 58  # of the 60 s
        write_retired(paths, retired.identify(paths))
    async with supervising(paths, said) as second:
        await adopt(second, hub.plan.processes)
        await until(lambda: not retired_states(second), "its end")
        assert f"serve (pid {old}) has not ended in 60 s, and is ended" in said


async def test_folders_of_agents_that_are_gone_are_removed(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    homes = [Path(above, "gone") for above in (paths.agents, paths.agents_apart())]
    for home in homes:
        (home / "0123456789abcdef/project").mkdir(parents=True)
        (home / "user").mkdir()
        (home / "lock").touch()
    (homes[1] / "user/diary").write_text("dear")
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}))
        await until(lambda: not homes[0].exists() and said, "the end of the folder")
        assert [path.name for path in sorted(homes[1].iterdir())] == ["lock", "user"]
        assert said[0].endswith(f"stays: rm -r {homes[1]}")
