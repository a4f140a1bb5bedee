"""Another version takes over: media beside the one that runs, and what waits for the calls of that."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import EngineProgram
from lkhub.prepare.hub import PreparedHub
from lkhub.supervise.adopt import adopt
from lkhub.wire.control import Outcome, PendingChange
from tests.supervise.beside.conftest import (
    busy,
    retired,
    with_spare,
)
from tests.supervise.conftest import (
    MakeHub,
    pids,
    supervising,
)
from tests.waiting import until

pytestmark = pytest.mark.anyio


def newer(make_hub: MakeHub, relay: dict[str, Any] | None = None, **media: Any) -> PreparedHub:
    """The old hub by the programs of another version."""
    return with_spare(make_hub(program="newer", media={"drains": True, **media}, relay=relay or {}, serve={}))


def starting_relay(hub: PreparedHub, *more: str) -> PreparedHub:
    """The hub with further arguments for its relay."""
    changed = [replace(each, argv=(*each.argv, *more)) if each.name == "relay" else each for each in hub.plan.processes]
    return replace(hub, plan=replace(hub.plan, processes=tuple(changed)))


async def test_another_version_takes_the_calls_that_begin(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        before = pids(supervisor)
        new = newer(make_hub)
        done = await supervisor.apply(new)
        assert done == Outcome(
            ("media", "serve", "relay"),
            pending=True,
            people=2,
            beside=("media",),
            only_through=("relay",),
            later=("relay",),
        )
        after = pids(supervisor)
        assert {name for name in before if before[name] == after[name]} == {"relay"}
        assert retired(supervisor) == [before["media"]]
        assert supervisor.pending
        assert supervisor.pending.change == PendingChange(("relay",), 2, ("relay",), programs=True)
        assert supervisor.in_force.hub is not None
        assert supervisor.in_force.hub.fingerprints == new.fingerprints

        again = await supervisor.apply(new)
        assert again == Outcome(("relay",), pending=True, people=2, only_through=("relay",), later=("relay",))
        await supervisor.apply_pending()
        assert pids(supervisor) == after
        calls.touch()
        await until(lambda: not retired(supervisor), "its end")
        await supervisor.apply_pending()
        assert supervisor.pending is None
        assert {name for name in after if after[name] == pids(supervisor)[name]} == {"media", "serve"}
        assert await supervisor.apply(new) == Outcome(())


async def test_next_supervisor_lets_the_rest_of_another_version_wait(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub
) -> None:
    new = newer(make_hub)
    async with supervising(paths, said, leave=True) as first:
        await first.apply(old)
        await first.apply(new)
        before, left = pids(first), retired(first)
    async with supervising(paths, said) as second:
        await adopt(second, new.plan.processes)
        assert await second.apply(new) == Outcome(
            ("relay",), pending=True, people=2, only_through=("relay",), later=("relay",)
        )
        assert (pids(second), retired(second)) == (before, left)


@pytest.mark.parametrize("what", ["another configuration", "other arguments", "it does not start"])
async def test_another_version_waits_as_a_whole(
    paths: StatePaths, said: list[str], make_hub: MakeHub, old: PreparedHub, what: str
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(old)
        before = pids(supervisor)
        if what == "another configuration":
            done = await supervisor.apply(newer(make_hub, relay={"say": "other"}))
            assert done == Outcome(("media", "relay", "serve"), pending=True, people=2, only_through=("relay",))
        elif what == "other arguments":
            done = await supervisor.apply(starting_relay(newer(make_hub), "--more"))
            assert done == Outcome(("media", "relay", "serve"), pending=True, people=2, only_through=("relay",))
        else:
            with pytest.raises(MachineError, match="the change was not made"):
                await supervisor.apply(newer(make_hub, exit=3))
        after = pids(supervisor)
        assert (after["media"], after["relay"], retired(supervisor)) == (before["media"], before["relay"], [])


def of_engine(hub: PreparedHub) -> PreparedHub:
    """The hub, whose media and relay are those of the bundled engine."""
    engines: dict[str, EngineProgram] = {"media": "media", "relay": "relay"}
    processes = tuple(replace(each, engine=engines.get(each.name, "")) for each in hub.plan.processes)
    return replace(hub, plan=replace(hub.plan, processes=processes))


async def test_another_version_without_a_second_media_waits_as_a_whole(
    paths: StatePaths, said: list[str], make_hub: MakeHub, calls: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(of_engine(make_hub(media=busy(calls), relay={}, serve={})))
        before = pids(supervisor)
        done = await supervisor.apply(of_engine(make_hub(program="newer", media=busy(calls), relay={}, serve={})))
        assert done == Outcome(("media", "relay", "serve"), pending=True, people=2)
        assert pids(supervisor) == before
