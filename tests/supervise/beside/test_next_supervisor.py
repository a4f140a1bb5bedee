"""A supervisor that finds two media processes, and one that ends both."""

import errno
import os
import signal
import socket
from pathlib import Path

import anyio
import pytest

from lkhub.errors import MachineError
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Health, HeldSocket
from lkhub.prepare.hub import PreparedHub
from lkhub.state.identity import list_retired
from lkhub.supervise.adopt import adopt
from lkhub.supervise.child import Child
from lkhub.supervise.ending import Ending
from lkhub.supervise.left import find_running
from lkhub.wire.control import Outcome
from tests.kit.ports import free_port
from tests.supervise.beside.conftest import LEAVES_NEW_CLIENTS, busy, drains, hub_saying, retired, with_spare
from tests.supervise.conftest import (
    MakeHub,
    list_running,
    pids,
    states,
    supervising,
)
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_next_supervisor_watches_both(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, calls: Path
) -> None:
    new = hub_saying(make_hub, "new")
    async with supervising(paths, said, leave=True) as first:
        await first.apply(old)
        await first.apply(new)
        before, left = pids(first), retired(first)
    async with supervising(paths, said) as second:
        await adopt(second, new.plan.processes)
        assert (pids(second), retired(second)) == (before, left)
        assert drains(paths) == [LEAVES_NEW_CLIENTS] * 2, "it is told again, which cuts no call"
        assert await second.apply(new) == Outcome(())
        calls.touch()
        await until(lambda: not retired(second), "its end")
        assert pids(second) == before


async def test_killed_before_the_new_process_was_there(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(old)
        before = pids(first)
        first.children["media"].note_handover()
    async with supervising(paths, said) as second:
        await adopt(second, old.plan.processes)
        assert (pids(second), retired(second), drains(paths)) == (before, [], [])
        assert list_retired(paths) == ()
        assert (await second.apply(hub_saying(make_hub, "new"))).beside == ("media",)


async def test_killed_before_the_old_process_was_told(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_: Child) -> None:
        """The supervisor is killed here."""

    new = hub_saying(make_hub, "new")
    async with supervising(paths, said, leave=True) as first:
        await first.apply(old)
        before = pids(first)["media"]
        with monkeypatch.context() as patch:
            patch.setattr(Child, "hand_over", nothing)
            await first.apply(new)
        assert drains(paths) == []
        after = pids(first)
    assert [(left.process.pid, left.retired) for left in find_running(paths) if left.name == "media"] == [
        (after["media"], False),
        (before, True),
    ]
    async with supervising(paths, said) as second:
        await adopt(second, new.plan.processes)
        assert (pids(second), retired(second)) == (after, [before])
        assert drains(paths) == [LEAVES_NEW_CLIENTS]


@pytest.mark.parametrize("lost", ["both", "the old one's"])
async def test_killed_and_records_are_lost(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, lost: str
) -> None:
    """The marks say what runs, and not which of the two has retired: the one that does not drain takes the place."""
    new = hub_saying(make_hub, "new")
    async with supervising(paths, said, leave=True) as first:
        await first.apply(old)
        await first.apply(new)
        before, [left] = pids(first), retired(first)
    for record in Path(paths.run).glob("media*.json"):
        if lost == "both" or "." in record.stem:
            record.unlink()
    async with supervising(paths, said) as second:
        await adopt(second, new.plan.processes)
        assert (pids(second), retired(second)) == (before, [left])


async def test_new_process_that_died_with_the_supervisor_starts_again_beside_the_old_one(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub
) -> None:
    new = hub_saying(make_hub, "new")
    async with supervising(paths, said, leave=True) as first:
        await first.apply(old)
        await first.apply(new)
        [left] = retired(first)
        os.kill(pids(first)["media"] or 0, signal.SIGSTOP)  # it can't be started again before its end
        for child in first.children.values():
            child._wanted = False
        os.kill(pids(first)["media"] or 0, signal.SIGKILL)
    async with supervising(paths, said) as second:
        await adopt(second, new.plan.processes)
        assert retired(second) == [left]
        await second.apply(new)
        assert states(second)["media"] == "running"
        assert second.children["media"].plan.health == Health(socket=paths.socket("media-2"))


@pytest.mark.parametrize("gives", [True, False], ids=["gives its socket", "of an earlier version"])
async def test_next_supervisor_starts_another_that_accepts_from_the_same_socket(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path, gives: bool
) -> None:
    listens = (HeldSocket("127.0.0.1", free_port()),)
    old = with_spare(make_hub(media={**busy(calls), "keeps": not gives}, relay={}, serve={}), listens=listens)
    new = with_spare(make_hub(media={"say": "new", "drains": True}, relay={}, serve={}), listens=listens)
    async with supervising(paths, said, leave=True) as first:
        await first.apply(old)
        before = pids(first)["media"]
        # The kernel closes all at its end. This would also remove the files of the control sockets, which stay then.
        first.shared.held.close_except(set(), [each.plan.health.socket for each in first.children.values()])
    async with supervising(paths, said) as second:
        await adopt(second, old.plan.processes)
        done = await second.apply(new)
        if gives:
            assert (done, retired(second)) == (Outcome(("media",), beside=("media",)), [before])
        else:
            assert (done, retired(second)) == (Outcome(("media",), pending=True, people=2), [])
        socket.create_connection(listens[0], 5).close()


async def test_end_of_the_hub_gives_the_calls_of_both_their_time(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        await supervisor.apply(hub_saying(make_hub, "new"))
        running = list_running(paths)
        told = len(drains(paths))
        supervisor.tasks.start_soon(supervisor.stop, "drain")
        # Of the same log: which of the two was told first is not known.
        await until(lambda: len(drains(paths)) == told + 2, "both are told")
        assert drains(paths)[told:] == [{"version": 1, "seconds": 30}] * 2
        assert all(each.is_running() for each in running), "the relay ended before the calls"
        supervisor.stop_now()
        await until(lambda: not list_running(paths), "the end")


async def test_hub_with_a_process_of_before_that_cannot_be_ended_is_not_down(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        await supervisor.apply(hub_saying(make_hub, "new"))
        [left] = retired(supervisor)
        with monkeypatch.context() as patch:
            patch.setattr("lkhub.supervise.predecessors.end_process", refuse)
            with pytest.raises(MachineError, match=rf"can't end media \(pid {left}\): OSError"):
                await supervisor.stop("now")
        assert [each.pid for each in list_running(paths)] == [left]


@pytest.mark.parametrize("earlier", [True, False], ids=["handed over before", "hands over by this change"])
async def test_new_drain_is_the_one_of_the_process_before_too(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, earlier: bool
) -> None:
    """Otherwise `lkhub down` names another time than its calls get, and systemd may not wait for so long."""
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        if earlier:
            await supervisor.apply(hub_saying(make_hub, "new"))
        await supervisor.apply(with_spare(make_hub(media={"say": "new", "drains": True}, relay={}, serve={}), drain=7))
        assert [each.plan.drain for each in list_retired(paths)] == [7]
        told = len(drains(paths))
        supervisor.tasks.start_soon(supervisor.stop, "drain")
        await until(lambda: len(drains(paths)) == told + 2, "both are told")
        assert drains(paths)[told:] == [{"version": 1, "seconds": 7}] * 2
        supervisor.stop_now()
        await until(lambda: not list_running(paths), "the end")


@pytest.mark.parametrize("how", ["drain", "now"])
async def test_hub_whose_stop_is_asked_for_twice_ends(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, how: Ending
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        await supervisor.apply(hub_saying(make_hub, "new"))
        told = len(drains(paths))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(supervisor.stop, "drain")
            await until(lambda: len(drains(paths)) == told + 2, "both are told")
            tasks.start_soon(supervisor.stop, how)
            if how == "drain":
                await until(lambda: len(drains(paths)) == told + 4, "both are told again")
                supervisor.stop_now()
        assert list_running(paths) == []
