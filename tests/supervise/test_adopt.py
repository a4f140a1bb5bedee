"""What a supervisor takes over from one that is gone, and what it ends."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from lkhub.host.processes import start
from lkhub.plan.paths import StatePaths
from lkhub.supervise.supervisor import Applied
from tests.supervise.conftest import MakeHub, list_running, pids, plan_actor, states, supervising

pytestmark = pytest.mark.anyio


async def test_everything_is_taken_over_from_a_supervisor_that_was_killed(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub())
        before = pids(first)
    assert len(list_running(paths)) == 3
    async with supervising(paths, said) as second:
        await second.adopt()
        assert pids(second) == before
        assert await second.apply(make_hub()) == Applied(()), "nothing changed, nothing is touched"
        assert sum("taking it over" in line for line in said) == 3
    assert list_running(paths) == []


async def test_change_after_taking_over_restarts_only_what_changed(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub())
        before = pids(first)
    async with supervising(paths, said) as second:
        await second.adopt()
        assert (await second.apply(make_hub(media={}, relay={}, serve={"say": "new"}))).changed == ("serve",)
        assert pids(second)["media"] == before["media"]


async def test_one_that_died_meanwhile_is_started_by_the_next_apply(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub())
        serve = first.children["serve"].process
    assert serve is not None
    os.kill(serve.pid, signal.SIGKILL)
    async with supervising(paths, said) as second:
        await second.adopt()
        assert set(states(second)) == {"media", "relay"}
        assert (await second.apply(make_hub())).changed == ("serve",)


async def test_one_that_hangs_is_ended_and_started_anew(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub(media={}, serve={}))
        media = first.children["media"].process
    assert media is not None
    os.kill(media.pid, signal.SIGSTOP)
    async with supervising(paths, said) as second:
        with monkeypatch.context() as impatient:
            impatient.setattr("lkhub.supervise.child.READY_SECONDS", 0.2)
            await second.adopt()
        assert set(states(second)) == {"serve"}
        assert (await second.apply(make_hub(media={}, serve={}))).changed == ("media",)
        assert media.pid not in {process.pid for process in list_running(paths)}


@pytest.mark.parametrize("record", [None, "", "{}", "nonsense", b"\xff"], ids=repr)
async def test_one_that_is_not_on_record_is_ended_and_that_is_said(
    paths: StatePaths, said: list[str], make_hub: MakeHub, record: Any
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub(media={}, serve={}))
    if record is None:
        os.unlink(paths.record("media"))
    else:
        Path(paths.record("media")).write_bytes(record if isinstance(record, bytes) else record.encode())
    async with supervising(paths, said) as second:
        await second.adopt()
        assert set(states(second)) == {"serve"}
        assert any("media" in line and "left over" in line for line in said)
        assert len(list_running(paths)) == 1


async def test_process_of_another_state_directory_is_left_alone(
    paths: StatePaths, said: list[str], make_hub: MakeHub, short_dir: Path
) -> None:
    other = StatePaths(str(short_dir / "o"))
    for folder in (other.root, other.rendered, other.run, other.logs):
        Path(folder).mkdir()
    Path(other.render("livekit.yaml")).write_text("{}")
    stranger = start(plan_actor(other, "media").argv, other.log("media"), os.environ)
    async with supervising(paths, said) as supervisor:
        await supervisor.adopt()
        assert supervisor.children == {}
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
