"""What a supervisor answers while it works: requests on its control socket."""

import contextlib
import errno
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread
import pytest

from lkhub.errors import HubError, InputError
from lkhub.host.control import SILENCE_SECONDS, NotRunningError, ask
from lkhub.host.lock import hold_lock
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub
from lkhub.supervise import run as run_module
from lkhub.supervise.run import run_hub
from lkhub.supervise.supervisor import Supervisor
from lkhub.supervise.watch.reports import Reports
from lkhub.wire.control import ApplyRequest, Outcome, RestartRequest, StatusRequest, StopRequest
from lkhub.wire.exchange import Answer, Request
from tests.supervise.conftest import IN_A_CALL, MakeHub, list_running
from tests.waiting import until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(hub: PreparedHub) -> AsyncIterator[Supervisor]:
    """A hub that answers on its control socket, until the block is left."""
    up = anyio.Event()
    held: list[Supervisor] = []

    async def ready(supervisor: Supervisor, _: Outcome | HubError) -> None:
        held.append(supervisor)
        up.set()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_hub, hub, lambda _: None, ready)
            await up.wait()
            yield held[0]
            with contextlib.suppress(NotRunningError):  # the test may have stopped it
                await request(hub.plan.paths, StopRequest(drain=False))


async def request(paths: StatePaths, asked: Request[Answer], **options: Any) -> Answer:
    return await anyio.to_thread.run_sync(lambda: ask(paths.control, asked, **options))


class SlowPreparing:
    """In place of `prepare_hub`: the hub that a test names as spec, when the test lets it go on."""

    def __init__(self, hubs: dict[str, PreparedHub]) -> None:
        self.hubs = hubs
        self.begun: list[str] = []
        self.may_end = {name: threading.Event() for name in hubs}

    def __call__(self, spec: str, _: str, __: object) -> PreparedHub:
        self.begun.append(spec)
        assert self.may_end[spec].wait(30)
        return self.hubs[spec]


@pytest.mark.parametrize("name", ["edge", "", "../media", "\ud800", {}, [], 0, False], ids=repr)
async def test_a_restart_of_what_is_no_process_restarts_nothing(
    make_hub: MakeHub, paths: StatePaths, name: object
) -> None:
    async with running(make_hub()) as supervisor:
        before = [child.process for child in supervisor.children.values()]
        with pytest.raises(InputError, match="there is no process" if isinstance(name, str) else "not a request"):
            await request(paths, RestartRequest(cast(str, name)))
        assert [child.process for child in supervisor.children.values()] == before


async def test_missing_files_are_written_before_a_change_is_prepared(
    make_hub: MakeHub, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the key file, preparing would make new keys, which no application has."""
    hub = make_hub()
    path, text = next(iter(hub.files.items()))
    found: list[str] = []

    def prepare(*_: object) -> PreparedHub:
        found.append(Path(path).read_text())
        return hub

    monkeypatch.setattr(run_module, "prepare_hub", prepare)
    async with running(hub):
        os.unlink(path)
        await request(paths, ApplyRequest("spec", {}))
    assert found == [text]


async def test_variable_that_a_change_refers_to_is_forgotten(
    make_hub: MakeHub, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise every program that the supervisor starts from then on would have it in its environment."""
    monkeypatch.setenv("HUB_SECRET", "XYZ")
    changed = replace(make_hub(), environ={"HUB_SECRET": "XYZ"})
    monkeypatch.setattr(run_module, "prepare_hub", lambda *_: changed)
    async with running(make_hub()):
        await request(paths, ApplyRequest("spec", {"HUB_SECRET": "XYZ"}))
        assert "HUB_SECRET" not in os.environ


async def test_process_that_dies_while_a_change_is_prepared_is_back_at_once(
    make_hub: MakeHub, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name servers may take seconds to answer; media must not wait for them."""
    preparing = SlowPreparing({"slow": make_hub()})
    monkeypatch.setattr(run_module, "prepare_hub", preparing)
    async with running(make_hub()) as supervisor, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(request, paths, ApplyRequest("slow", {})))
        await until(lambda: preparing.begun, "it prepares the change")
        first = supervisor.children["media"].process
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: supervisor.children["media"].process not in (None, first), "media is there again")
        status = await request(paths, StatusRequest())
        assert status.processes[0].restarts == 1
        preparing.may_end["slow"].set()


async def test_change_that_was_asked_for_last_is_what_stays(
    make_hub: MakeHub, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the one before takes longer to prepare."""
    hubs = {"first": make_hub(media={}, serve={"v": 1}), "second": make_hub(media={}, serve={"v": 2})}
    preparing = SlowPreparing(hubs)
    monkeypatch.setattr(run_module, "prepare_hub", preparing)
    preparing.may_end["second"].set()
    heard: list[str] = []
    async with running(make_hub(media={}, serve={})) as supervisor:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(request, paths, ApplyRequest("first", {})))
            await until(lambda: preparing.begun, "it prepares the first")
            tasks.start_soon(partial(request, paths, ApplyRequest("second", {}), on_progress=heard.append))
            await until(lambda: heard, "the second waits")
            preparing.may_end["first"].set()
        assert preparing.begun == ["first", "second"]
        assert supervisor.in_force.hub is hubs["second"]
    assert heard == ["another change is being made; waiting for its end"]


async def test_hub_that_is_stopped_does_not_wait_for_a_change_that_is_prepared(
    make_hub: MakeHub, paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparing = SlowPreparing({"slow": make_hub()})
    monkeypatch.setattr(run_module, "prepare_hub", preparing)

    async def ask_for_change() -> None:
        with pytest.raises(HubError, match="ended before it answered"):
            await request(paths, ApplyRequest("slow", {}))

    async with anyio.create_task_group() as tasks, running(make_hub()):
        tasks.start_soon(ask_for_change)
        await until(lambda: preparing.begun, "it prepares the change")
    assert list_running(paths) == []
    with hold_lock(paths):
        preparing.may_end["slow"].set()


@pytest.mark.parametrize("name", ["media", "relay"])
async def test_status_is_answered_while_a_process_hangs(make_hub: MakeHub, paths: StatePaths, name: str) -> None:
    async with running(make_hub()) as supervisor:
        process = supervisor.children[name].process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        before = time.monotonic()
        answer = await request(paths, StatusRequest())
        os.kill(process.pid, signal.SIGCONT)
        assert time.monotonic() - before < SILENCE_SECONDS, "nobody has to look whether the supervisor is there"
        assert [process.name for process in answer.processes] == ["media", "relay", "serve"]


async def test_status_is_answered_when_the_processes_can_not_be_asked(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails then: without an answer, `status`, `up` and `restart` would fail too."""

    async def refresh(*_: object) -> None:
        raise ExceptionGroup("", [RuntimeError("a bug"), OSError(errno.EMFILE, "Too many open files")])

    async with running(hub := make_hub()):
        monkeypatch.setattr(Reports, "refresh", refresh)
        answer = await request(hub.plan.paths, StatusRequest())
        assert "Too many open files" in answer.watcher_failures["see who came from outside"].detail
        assert [process.state for process in answer.processes] == ["running"] * 3


@pytest.mark.parametrize(
    ("rooms", "now", "told"),
    [
        ([], False, []),
        (IN_A_CALL, True, []),
        (IN_A_CALL, False, ["waiting up to 30s for 2 people in a call to finish (`lkhub down --now` does not wait)"]),
    ],
    ids=["nobody", "at once", "in a call"],
)
async def test_stop_reports_how_many_it_waits_for(
    make_hub: MakeHub, rooms: list[dict[str, Any]], now: bool, told: list[str]
) -> None:
    heard: list[str] = []
    hub = make_hub(media={"rooms": rooms}, serve={})
    async with running(hub):
        await request(hub.plan.paths, StopRequest(drain=not now), on_progress=heard.append)
    assert heard == told
