"""What `status` has in memory of the engine's processes."""

import os
import signal

import anyio
import pytest

from lkhub.plan.paths import StatePaths
from lkhub.supervise.child import Child
from tests.supervise.beside.conftest import with_spare
from tests.supervise.conftest import MakeHub, status_of, supervising, watchers_of
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The processes that were asked."""
    names: list[str] = []
    ask = Child.ask_status

    async def ask_status(child: Child) -> object:
        names.append(child.plan.name)
        return await ask(child)

    monkeypatch.setattr(Child, "ask_status", ask_status)
    return names


async def test_process_is_asked_again_only_where_its_report_is_old(
    paths: StatePaths, said: list[str], make_hub: MakeHub, asked: list[str]
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        reports = watchers_of(supervisor).reports
        asked.clear()
        await reports.refresh(1000.0)
        await reports.refresh(1000.0)
        assert asked == ["media"]
        assert set(reports.list_ages()) == {"media"}
        await reports.refresh(0.0)
        assert asked == ["media"] * 2


async def test_many_who_ask_at_once_cost_one_question(
    paths: StatePaths, said: list[str], make_hub: MakeHub, asked: list[str]
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}))
        reports = watchers_of(supervisor).reports
        asked.clear()
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(reports.refresh, 1.0)
        assert asked == ["media"]


async def test_report_of_a_process_that_is_another_one_by_now_counts_no_more(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}))
        reports, media = watchers_of(supervisor).reports, supervisor.children["media"]
        await reports.refresh()
        before = media.process
        assert before is not None
        assert [status.pid for status in reports.list_statuses()] == [before.pid]
        os.kill(before.pid, signal.SIGKILL)
        await until(lambda: media.process not in (None, before) and media.state == "running", "another one")
        assert reports.list_statuses() == ()
        await reports.refresh(1000.0)
        assert media.process is not None
        assert [status.pid for status in reports.list_statuses()] == [media.process.pid]


@pytest.mark.parametrize("uses", [None, [{"id": "APIold", "count": 3, "participants": 2}]])
async def test_media_that_finishes_its_calls_tells_how_keys_were_used(
    paths: StatePaths, said: list[str], make_hub: MakeHub, uses: list[dict[str, object]] | None
) -> None:
    before = {"say": "old", "drains": True, "deaf": True, "uses": uses}
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(with_spare(make_hub(media=before), engine="media"))
        await supervisor.apply(with_spare(make_hub(media={"say": "new", "drains": True}), engine="media"))
        await watchers_of(supervisor).reports.refresh()
        [row] = status_of(supervisor)["retired"]
        told = [{"id": each["id"], "participants": each["participants"]} for each in row["keys"] or ()]
        assert told == ([{"id": "APIold", "participants": 2}] if uses else [])
        assert (row["keys"] is None) == (uses is None)
