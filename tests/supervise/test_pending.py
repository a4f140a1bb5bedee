"""Pending changes: they wait until nobody is in a call."""

import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest

from lkhub.errors import MachineError
from lkhub.plan.paths import StatePaths
from lkhub.supervise import calls
from lkhub.supervise.pending import Pending
from lkhub.supervise.supervisor import Supervisor
from lkhub.wire.control import Outcome, PendingChange
from tests.supervise.conftest import IN_A_CALL, QUICK, MakeHub, pids, states, status_of, supervising, watch
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_change_waits_while_people_are_in_a_call(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        before = pids(supervisor)
        applied = await supervisor.apply(make_hub(media={"say": "new"}, serve={}))
        assert applied == Outcome(("media",), pending=True, people=2)
        assert pids(supervisor) == before
        assert status_of(supervisor)["pending"] is True
        assert status_of(supervisor)["pending_change"] == {
            "restarts": ("media",),
            "people": 2,
            "only_through": (),
            "retired": (),
            "programs": False,
            "new": (),
            "gone": (),
            "spec": None,
        }


async def test_change_that_waits_says_what_it_would_restart_start_and_end(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, relay={}))
        applied = await supervisor.apply(make_hub(media={"say": "new"}, serve={}))
        names = ("media", "serve", "relay")
        assert applied == Outcome(names, pending=True, people=2, new=("serve",), gone=("relay",))
        assert supervisor.pending
        assert supervisor.pending.change == PendingChange(("media",), 2, new=("serve",), gone=("relay",))
        assert supervisor.pending.change.describe() == "media would restart, serve would start, relay would end"


@pytest.mark.parametrize(
    ("in_force", "wanted", "told"),
    [
        ("/a.yaml", "/a.yaml", None),
        ("/a.yaml", "/b.yaml", "/b.yaml"),
        (None, "/b.yaml", "/b.yaml"),
        ("/a.yaml", None, ""),
    ],
)
async def test_change_that_waits_names_its_spec_where_another_one_is_in_force(
    paths: StatePaths, said: list[str], make_hub: MakeHub, in_force: str | None, wanted: str | None, told: str | None
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(replace(make_hub(media={"rooms": IN_A_CALL}), spec=in_force))
        await supervisor.apply(replace(make_hub(media={"say": "new"}), spec=wanted))
        assert supervisor.pending
        assert supervisor.pending.change.spec == told


async def test_change_that_interrupts_no_call_is_not_pending(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        applied = await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={"say": "new"}))
        assert applied == Outcome(("serve",))


async def test_change_now_says_how_many_it_cuts(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        applied = await supervisor.apply(make_hub(media={"say": "new"}, serve={}), now=True)
        assert applied == Outcome(("media",), cut=2)
        assert status_of(supervisor)["pending"] is False
        assert status_of(supervisor)["pending_change"] is None


async def test_going_back_takes_a_waiting_change_back(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    first = make_hub(media={"rooms": IN_A_CALL}, serve={})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(first)
        await supervisor.apply(make_hub(media={"say": "new"}, serve={}))
        assert await supervisor.apply(first) == Outcome(())
        assert supervisor.pending is None


async def test_media_that_cannot_be_asked_counts_as_busy(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        os.unlink(paths.socket("media"))
        applied = await supervisor.apply(make_hub(media={"say": "new"}, serve={}))
        assert (applied.pending, applied.people) == (True, None)
        assert status_of(supervisor)["pending_change"] == {
            "restarts": ("media",),
            "people": None,
            "only_through": (),
            "retired": (),
            "programs": False,
            "new": (),
            "gone": (),
            "spec": None,
        }


async def test_pending_change_is_made_when_nobody_is_left(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    busy = make_hub(media={"rooms": IN_A_CALL}, serve={})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(busy)
        await supervisor.apply(make_hub(media={"say": "new"}, serve={}))
        watch(supervisor, supervisor.apply_pending)
        # They leave: the actor tells what its configuration says when it starts.
        Path(paths.render("livekit.yaml")).write_text("{}")
        media = supervisor.children["media"].process
        assert media is not None
        os.kill(media.pid, signal.SIGKILL)
        await until(lambda: supervisor.pending is None, "the change")
        assert "new" in Path(paths.log("media")).read_text()
        assert any("the change that waited is in force: restarted media" in line for line in said)


async def test_pending_change_that_fails_is_reported_and_forgotten(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        supervisor.pending = Pending(make_hub(media={"exit": 1}, serve={}), PendingChange(("media",), 2))
        watch(supervisor, supervisor.apply_pending)
        await until(lambda: supervisor.pending is None, "the failure")
        await until(lambda: states(supervisor)["media"] == "running", "the old one")
        assert any("the change that waited failed" in line for line in said)


Move = Callable[[Supervisor, MakeHub], Awaitable[None]]


async def apply_now(supervisor: Supervisor, make_hub: MakeHub) -> None:
    await supervisor.apply(make_hub(media={"rooms": IN_A_CALL, "say": "B"}, serve={}), now=True)


async def apply_what_runs(supervisor: Supervisor, make_hub: MakeHub) -> None:
    await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))


async def apply_without_a_cut(supervisor: Supervisor, make_hub: MakeHub) -> None:
    await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={"say": "B"}))


async def apply_in_vain(supervisor: Supervisor, make_hub: MakeHub) -> None:
    with pytest.raises(MachineError):
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={"exit": 1}))


@pytest.mark.parametrize("newer", [apply_now, apply_what_runs, apply_without_a_cut, apply_in_vain])
async def test_change_that_waited_is_not_made_after_a_newer_one(
    paths: StatePaths, said: list[str], make_hub: MakeHub, newer: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def count(*_: object) -> int:
        return 0

    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        await supervisor.apply(make_hub(media={"say": "A"}, serve={}))
        await newer(supervisor, make_hub)
        assert supervisor.pending is None
        current, after = supervisor.in_force.hub, pids(supervisor)
        monkeypatch.setattr(calls, "count_participants", count)
        await supervisor.apply_pending()
        assert (supervisor.in_force.hub, pids(supervisor)) == (current, after)
        assert "A" not in Path(paths.log("media")).read_text().split()


@pytest.mark.parametrize("left", [None, "", "{}", '{"spec": null, "name": "hub", "at": 0, "urls": {}, "probes": []}'])
async def test_change_waits_for_a_call_also_where_what_is_in_force_is_on_no_record(
    paths: StatePaths, said: list[str], make_hub: MakeHub, left: str | None
) -> None:
    """The state directory was moved while no supervisor lived, or the record is damaged or another version's."""
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        before = pids(supervisor)
        if left is None:
            os.unlink(paths.applied)
        else:
            Path(paths.applied).write_text(left)
        applied = await supervisor.apply(make_hub(media={"say": "A"}, serve={}))
        assert (applied.pending, applied.people) == (True, 2)
        assert pids(supervisor) == before


async def test_newer_change_that_is_being_made_is_waited_for_and_stays(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        await supervisor.apply(make_hub(media={"say": "A"}, serve={}))
        newer = make_hub(media={"say": "B"}, serve={})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(supervisor.apply, newer, now=True))
            tasks.start_soon(supervisor.apply_pending)
            tasks.start_soon(supervisor.apply_pending)
        assert supervisor.in_force.hub is newer
        assert supervisor.pending is None
        assert Path(paths.log("media")).read_text().split() == ["hello", "B"], "one restart, and nobody is cut twice"


async def test_change_that_waited_is_dropped_by_a_refused_one_and_that_is_said(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        await supervisor.apply(make_hub(media={"say": "A"}, serve={}))
        await apply_in_vain(supervisor, make_hub)
        assert any("the change that waited is dropped" in line for line in said)
        assert status_of(supervisor)["pending"] is False


async def test_people_who_join_during_the_check_are_not_interrupted(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        await supervisor.apply(make_hub(media={"say": "A"}, serve={}))
        before = pids(supervisor)
        await supervisor.apply_pending()
        assert supervisor.pending is not None
        assert pids(supervisor) == before


@pytest.mark.parametrize("how", ["crash", "restart", "now"])
async def test_people_who_are_on_their_way_back_are_not_cut_again(
    paths: StatePaths, said: list[str], make_hub: MakeHub, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A media process that has just been replaced knows no participant yet."""
    async with supervising(paths, said, replace(QUICK, rejoin=3600.0)) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, serve={}))
        before = pids(supervisor)["media"]
        Path(paths.render("livekit.yaml")).write_text("{}")
        if how == "crash":
            assert before is not None
            os.kill(before, signal.SIGKILL)
        elif how == "restart":
            await supervisor.restart(["media"])
        else:
            await supervisor.apply(make_hub(media={"say": "now"}, serve={}), now=True)
        await until(
            lambda: pids(supervisor)["media"] not in (None, before) and states(supervisor)["media"] == "running", "it"
        )
        changed = await supervisor.apply(make_hub(media={"say": "A"}, serve={}))
        assert (changed.pending, changed.people) == (True, None)
        monkeypatch.setattr(supervisor.calls, "_rejoined_by", 0.0)
        await supervisor.apply_pending()
        assert supervisor.pending is None
