"""Agents that go on until their successors have registered, or that get none."""

import contextlib
import fcntl
import os
import shlex
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest

from lkhub.host import agent_home
from lkhub.host.processes import ProcessId
from lkhub.host.session import Session
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import ProcessPlan
from lkhub.prepare.hub import PreparedHub
from lkhub.state.identity import list_retired, write_retired
from lkhub.supervise.adopt import adopt
from lkhub.supervise.retired import Retired, RetiredProcess
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


def detaching(hub: PreparedHub, note: Path) -> PreparedHub:
    """The hub, whose agent leaves a process behind that has nothing of it: no session, no group, no variable."""
    detached = (
        f"import os; open({str(note)!r}, 'w').write(str(os.getpid())); os.execve('/bin/sleep', ['sleep', '99'], {{}})"
    )
    detach = shlex.join([sys.executable, "-ISsc", detached])

    def wrap(process: ProcessPlan) -> ProcessPlan:
        text = f"(setsid {detach} &); exec {shlex.join(process.argv)}"
        become = "import os, sys; from lkhub.host.rights import adopt_left; adopt_left()"
        argv = (sys.executable, "-c", f"{become}; os.execv(sys.argv[1], sys.argv[1:])", "/bin/sh", "-c", text)
        return replace(process, argv=argv) if process.registers else process

    return replace(hub, plan=replace(hub.plan, processes=tuple(map(wrap, hub.plan.processes))))


def note_seen(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The pids that are found as started by an agent, from now on."""
    seen: set[int] = set()
    find = Session.find_members

    def find_noted(session: Session) -> tuple[ProcessId, ...]:
        found = find(session)
        seen.update(each.pid for each in found)
        return found

    monkeypatch.setattr(Session, "find_members", find_noted)
    return seen


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process that is left has another parent")
@pytest.mark.parametrize("how", ["retires", "stops", "is killed", "is killed after a takeover"])
async def test_what_an_agent_has_detached_ends_with_it(
    paths: StatePaths,
    said: list[str],
    make_hub: MakeHub,
    calls: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    note, seen = tmp_path / "detached", note_seen(monkeypatch)
    hub = detaching(with_agent(make_hub(media={}, serve=busy(calls))), note)
    async with contextlib.AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(supervising(paths, said, leave="takeover" in how))
        await supervisor.apply(hub)
        await started(paths, "old")
        await until(lambda: note.exists() and note.read_text(), "what it detaches")
        detached = psutil.Process(int(note.read_text()))
        if "takeover" in how:
            await stack.aclose()
            supervisor = await stack.enter_async_context(supervising(paths, said))
            await adopt(supervisor, hub.plan.processes)
            await supervisor.apply(hub)
            seen.clear()
        if how == "stops":
            await supervisor.stop("now")
        elif "killed" in how:
            await until(lambda: detached.pid in seen, "the supervisor has seen it")
            psutil.Process(pids(supervisor)[AGENT]).kill()
        else:
            await supervisor.apply(with_agent(make_hub(media={}, serve={"say": "new"})))
            calls.touch()
        await until(lambda: is_gone(detached), "its end")


async def test_what_a_shell_has_started_is_known_where_it_ends_at_once(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell that an earlier supervisor has started is gone before this one looks again, and then nothing tells who
    its children are."""

    async def look_late(_: Retired, __: RetiredProcess) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(Retired, "_await_successor", look_late)
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(in_shell(with_agent(make_hub(media={}, serve=busy(calls)))))
        await started(paths, "old")
        shell = psutil.Process(pids(supervisor)[AGENT])
        [agent] = shell.children()
        await supervisor.apply(make_hub(media={}))
        [retired] = supervisor.fleet.retired.list()
        supervisor.fleet.retired._signal(retired)
        assert retired.popen
        await anyio.to_thread.run_sync(retired.popen.wait)
        assert [each.pid for each in retired.session.find_members()] == [agent.pid]
        calls.touch()
        await until(lambda: is_gone(agent), "its end")


async def test_agent_that_was_told_is_told_no_more_by_the_next_supervisor(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path, registered: set[int]
) -> None:
    """A second signal would end its calls."""
    async with supervising(paths, said, leave=True) as first:
        await first.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        await started(paths, "old")
        registered.add(pids(first)[AGENT] or 0)
        hub = with_agent(make_hub(media={}, serve={"say": "new"}))
        await first.apply(hub)
        await until(lambda: set(retired_states(first).values()) == {"stopping"}, "it is told")
        [told] = first.fleet.retired.list()
        [record] = list_retired(paths)
        assert (record.waits, record.since) == (False, told.since)
    async with supervising(paths, said) as second:
        await adopt(second, hub.plan.processes)
        assert [each.waits for each in second.fleet.retired.list()] == [False]
        calls.touch()
        await until(lambda: not retired_states(second), "its end")


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


async def test_folder_of_an_agent_that_is_gone_is_removed_after_its_last_call(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(paths.agents, "gone")
    (home / "0123456789abcdef").mkdir(parents=True)
    (home / "lock").touch()
    held = os.open(home / "0123456789abcdef", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)  # as the agent does for as long as it runs
    remove, looked = agent_home.remove_left, []

    def remove_left(folder: str, kept: Collection[str]) -> tuple[str, ...]:
        left = remove(folder, kept)
        looked.append(folder)
        return left

    monkeypatch.setattr(agent_home, "remove_left", remove_left)
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_agent(make_hub(media={}, serve=busy(calls))))
        await started(paths, "old")
        await supervisor.apply(make_hub(media={}))
        await until(lambda: len(looked) == 2, "each change is followed by a look")
        assert home.exists()
        os.close(held)
        calls.touch()
        await until(lambda: not home.exists(), "the end of the folder")


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
