"""A hub that is stopped in the middle of something else."""

from pathlib import Path

import anyio
import pytest

from lkhub.errors import HubError, UnwellError
from lkhub.plan.paths import StatePaths
from tests.supervise.conftest import CONFIGS, MakeHub, list_running, states, supervising
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("what", ["restart", "apply"])
@pytest.mark.parametrize("when", ["a process starts", "a process was ended"])
async def test_nothing_runs_after_a_stop_and_what_was_under_way_says_so(
    paths: StatePaths,
    said: list[str],
    make_hub: MakeHub,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    when: str,
) -> None:
    failures: list[HubError] = []
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        reached, go_on = anyio.Event(), anyio.Event()
        start = supervisor.fleet.start

        async def start_late(*arguments: object, **named: object) -> None:
            reached.set()
            await go_on.wait()
            await start(*arguments, **named)  # type: ignore[arg-type]

        if when == "a process was ended":
            monkeypatch.setattr(supervisor.fleet, "start", start_late)

        elif what == "restart":
            Path(paths.render(CONFIGS["media"])).write_text('{"never_ready": true}')

        async def work() -> None:
            try:
                if what == "restart":
                    await supervisor.restart(["media"])
                else:
                    await supervisor.apply(make_hub(media={"never_ready": True}, serve={}))
            except HubError as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            if when == "a process starts":
                await until(lambda: states(supervisor)["media"] == "starting", "the start")
            else:
                await reached.wait()
            await supervisor.stop("now")
            go_on.set()
        [failure] = failures
        assert isinstance(failure, UnwellError), "the machine prevents nothing"
        assert failure.message == "the hub is stopping"
        assert list_running(paths) == []
