"""Processes that this machine does not let the supervisor end."""

import errno
import os
from collections.abc import Iterator

import pytest

from lkhub.errors import MachineError
from lkhub.host.processes import ProcessId
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import ProcessPlan
from lkhub.supervise.ending import Ending, end_process
from lkhub.supervise.timings import Timings
from tests.supervise.conftest import (
    MakeHub,
    list_running,
    pids,
    states,
    supervising,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The processes that this machine does not let us end, by their names."""
    names: set[str] = set()

    async def end(process: ProcessId, how: Ending, plan: ProcessPlan, timings: Timings) -> None:
        if plan.name in names:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        await end_process(process, how, plan, timings)

    monkeypatch.setattr("lkhub.supervise.child.end_process", end)
    yield names
    names.clear()


async def test_restart_in_which_one_cannot_be_ended_leaves_none_stopped(
    paths: StatePaths, said: list[str], make_hub: MakeHub, refusing: set[str]
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        before = pids(supervisor)
        refusing.add("serve")
        with pytest.raises(MachineError, match="can't end serve: OSError"):
            await supervisor.restart(["media", "serve"])
        assert states(supervisor) == {"media": "running", "serve": "running"}
        assert (pids(supervisor)["media"] != before["media"], pids(supervisor)["serve"]) == (True, before["serve"])
        refusing.clear()


async def test_change_in_which_one_cannot_be_ended_leaves_none_stopped(
    paths: StatePaths, said: list[str], make_hub: MakeHub, refusing: set[str]
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        refusing.add("serve")
        with pytest.raises(MachineError, match=r"can't end serve: .*\nthe change was not made"):
            await supervisor.apply(make_hub(media={"say": "new"}, serve={"say": "new"}))
        assert states(supervisor) == {"media": "running", "serve": "running"}
        refusing.clear()


async def test_new_process_that_cannot_be_ended_is_kept_when_its_change_fails(
    paths: StatePaths, said: list[str], make_hub: MakeHub, refusing: set[str]
) -> None:
    """Otherwise it would run on unwatched, and hold the ports of the next one."""
    before = make_hub(serve={})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(before)
        refusing.add("media")
        with pytest.raises(MachineError, match="can't end media: OSError"):
            await supervisor.apply(make_hub(serve={}, media={}, edge={"exit": 3}))
        assert states(supervisor) == {"serve": "running", "media": "running"}
        refusing.clear()
        assert (await supervisor.apply(before)).changed == ("media",)
        assert states(supervisor) == {"serve": "running"}


@pytest.mark.parametrize("name", ["media", "serve"])
async def test_stop_in_which_one_cannot_be_ended_says_so_and_ends_it_the_next_time(
    paths: StatePaths, said: list[str], make_hub: MakeHub, refusing: set[str], name: str
) -> None:
    async with supervising(paths, said) as supervisor:
        hub = make_hub(media={}, serve={})
        await supervisor.apply(hub)
        refusing.add(name)
        with pytest.raises(MachineError, match=f"can't end {name}"):
            await supervisor.stop("now")
        assert [each for each, state in states(supervisor).items() if state == "running"] == [name]
        refusing.clear()
        await supervisor.apply(hub)
        assert set(states(supervisor).values()) == {"running"}, "nor is it on its way down for ever"
        await supervisor.stop("now")
        assert list_running(paths) == []
