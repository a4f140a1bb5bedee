"""Changes that wait until nobody is in a call."""

import os
import signal
from pathlib import Path

import pytest

from lkhub.plan.paths import StatePaths
from lkhub.supervise.supervisor import Applied
from tests.supervise.conftest import IN_A_CALL, MakeHub, pids, states, supervising
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_change_waits_while_people_are_in_a_call(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        before = pids(supervisor)
        applied = await supervisor.apply(make_hub(media={"say": "new"}, serve={}))
        assert applied == Applied(("media",), pending=True, people=2)
        assert pids(supervisor) == before
        assert supervisor.as_json()["pending"] is True


async def test_change_that_interrupts_nobody_does_not_wait(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        applied = await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={"say": "new"}))
        assert applied == Applied(("serve",))


async def test_change_now_says_how_many_it_cuts(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        applied = await supervisor.apply(make_hub(media={"say": "new"}, serve={}), now=True)
        assert applied == Applied(("media",), cut=2)
        assert supervisor.as_json()["pending"] is False


async def test_going_back_takes_a_waiting_change_back(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    first = make_hub(media={"rooms": IN_A_CALL}, serve={})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(first)
        await supervisor.apply(make_hub(media={"say": "new"}, serve={}))
        assert await supervisor.apply(first) == Applied(())
        assert supervisor.pending is None


async def test_media_that_cannot_be_asked_counts_as_busy(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        os.unlink(paths.socket("media"))
        applied = await supervisor.apply(make_hub(media={"say": "new"}, serve={}))
        assert (applied.pending, applied.people) == (True, None)


async def test_waiting_change_is_made_when_nobody_is_left(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    busy = make_hub(media={"rooms": IN_A_CALL}, serve={})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(busy)
        await supervisor.apply(make_hub(media={"say": "new"}, serve={}))
        supervisor.tasks.start_soon(supervisor.keep_house)
        # They leave: the actor tells what its configuration says when it starts.
        Path(paths.render("livekit.yaml")).write_text("{}")
        media = supervisor.children["media"].process
        assert media is not None
        os.kill(media.pid, signal.SIGKILL)
        await until(lambda: supervisor.pending is None, "the change")
        assert "new" in Path(paths.log("media")).read_text()
        assert any("the change that waited is in force: media" in line for line in said)


async def test_waiting_change_that_fails_is_told_and_forgotten(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        supervisor.pending = make_hub(media={"exit": 1}, serve={})
        supervisor.tasks.start_soon(supervisor.keep_house)
        await until(lambda: supervisor.pending is None, "the failure")
        await until(lambda: states(supervisor)["media"] == "running", "the old one")
        assert any("the change that waited failed" in line for line in said)
