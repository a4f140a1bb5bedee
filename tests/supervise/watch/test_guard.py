"""Watchers run for ever; what happens when a check fails."""

import contextlib
import errno
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import anyio.to_thread
import pytest

from lkhub.errors import MachineError
from lkhub.host.control import NotRunningError, ask
from lkhub.plan.paths import StatePaths
from lkhub.supervise.answering import Answering
from lkhub.supervise.pending import Pending
from lkhub.supervise.run import run_hub
from lkhub.supervise.shared import ignore
from lkhub.supervise.supervisor import Supervisor
from lkhub.supervise.watch.guard import Guard
from lkhub.wire.control import HubReport, PendingChange, StatusRequest
from tests.supervise.conftest import QUICK, MakeHub, pids, states, supervising, watchers_of
from tests.waiting import until

pytestmark = pytest.mark.anyio

SECRET = "correct horse battery staple"


IMPATIENT = replace(
    QUICK,
    guard_first=0.01,
    guard_ceiling=0.02,
    tick=0.01,
    outside=0.01,
    addresses=0.01,
    certificates=0.01,
    hanging=0.01,
    router=0.01,
)


def fail(*_: object, **__: object) -> Any:
    raise RuntimeError(SECRET)


async def fail_later(*_: object, **__: object) -> Any:
    raise RuntimeError(SECRET)


async def test_failing_check_is_reported_once_and_repeated_until_it_succeeds(said: list[str]) -> None:
    looks: list[int] = []

    async def look() -> None:
        looks.append(len(looks))
        if len(looks) < 5:
            raise OSError(19, "No such device", "eth1")

    watcher = Guard(said.append, IMPATIENT)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.watch, "see it", look, 0.01)
        await until(lambda: len(looks) >= 2, "two looks")
        assert watcher.failures["see it"].detail == "OSError (No such device: eth1)"
        await until(lambda: len(looks) > 6, "more looks")
        tasks.cancel_scope.cancel()
    assert said == ["can't see it: OSError (No such device: eth1)", "can see it again"]
    assert watcher.failures == {}


async def test_another_failure_is_said_too_and_a_strangers_words_never(said: list[str]) -> None:
    errors: list[Exception] = [
        RuntimeError(SECRET),
        MachineError("the disk is full"),
        ExceptionGroup("x", [ValueError(SECRET), MachineError("no")]),
    ]

    async def look() -> None:
        if errors:
            raise errors.pop(0)

    watcher = Guard(said.append, IMPATIENT)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.watch, "look", look, 0.01)
        await until(lambda: "can look again" in said, "the end")
        tasks.cancel_scope.cancel()
    assert "RuntimeError (test_guard.py:" in said[0]
    assert said[1] == "can't look: the disk is full"
    assert said[2].startswith("can't look: ValueError")
    assert said[2].endswith("; no")
    assert SECRET not in "\n".join(said)


class Enough(BaseException):
    """Ends a watcher, which catches every Exception."""


async def watch_for(
    monkeypatch: pytest.MonkeyPatch, look: Callable[[], Awaitable[None]], waits: list[float], count: int
) -> None:
    """Watch by `look` every two seconds until `waits` has the lengths of `count` waits."""

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == count:
            raise Enough

    monkeypatch.setattr("lkhub.supervise.watch.guard.anyio.sleep", sleep)
    with pytest.raises(Enough):
        await Guard(lambda _: None).watch("look", look, 2.0)


async def test_check_that_fails_again_after_a_success_is_repeated_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def look() -> None:
        if len(waits) != 8:
            raise RuntimeError

    await watch_for(monkeypatch, look, waits, 11)
    assert waits[7] > 2.0, "it fails for the eighth time"
    assert waits[8:] == [2.0, 2.0, 2.0]


async def test_failing_check_is_repeated_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    await watch_for(monkeypatch, fail_later, waits, 12)
    assert waits[:3] == [2.0, 2.0, 2.0]
    assert waits[-1] == 60.0


Break = Callable[[pytest.MonkeyPatch], None]
WATCHERS: dict[str, tuple[str, str, Callable[..., Any]]] = {
    "see this machine's addresses": ("lkhub.supervise.watch.addresses", "list_interfaces", fail),
    "see whether the certificate was replaced": ("lkhub.host.files", "stamp", fail),
    "see whether processes answer": ("lkhub.supervise.watch.hanging", "_answers", fail_later),
    "rotate logs": ("lkhub.supervise.watch.watchers", "rotate_logs", fail),
    "make the change that waits": ("lkhub.supervise.calls", "count_participants", fail_later),
    "keep the state directory whole": ("lkhub.supervise.recorded", "read_record", fail),
    "see who came from outside": ("lkhub.supervise.watch.outside", "merge", fail),
    "renew the router's port mappings": ("lkhub.supervise.watch.router", "read_router", fail),
    "keep the operator's rooms open": ("lkhub.supervise.watch.open_rooms", "is_closed", fail),
    "answer commands": ("lkhub.supervise.answering", "identify", fail),
}


@pytest.mark.parametrize("what", WATCHERS)
async def test_error_in_a_watcher_ends_neither_the_hub_nor_a_process_and_status_tells(
    paths: StatePaths, said: list[str], make_hub: MakeHub, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    async def status() -> HubReport:
        return await anyio.to_thread.run_sync(ask, paths.control, StatusRequest())

    async def ready(supervisor: Supervisor, _: object) -> None:
        before = pids(supervisor)
        if what == "make the change that waits":
            supervisor.pending = Pending(make_hub(media={"say": "A"}, serve={}), PendingChange(("media",), 2))
        with monkeypatch.context() as broken:
            broken.setattr("{}.{}".format(*WATCHERS[what][:2]), WATCHERS[what][2])
            await until(lambda: any(f"can't {what}" in line for line in said), "the failure")
            if what != "see who came from outside":  # this one is asked for by `status` itself
                told.append((await status()).watcher_failures)
        supervisor.pending = None
        await until(lambda: any(f"can {what} again" in line for line in said), "the recovery")
        assert (await status()).watcher_failures == {}
        assert (pids(supervisor), set(states(supervisor).values())) == (before, {"running"})
        supervisor.tasks.cancel_scope.cancel()

    with anyio.fail_after(30):
        await run_hub(make_hub(media={}, serve={}), said.append, ready, IMPATIENT)
    assert all(set(troubles) == {what} for troubles in told)
    assert SECRET not in "\n".join(said)


async def test_bug_while_a_process_is_watched_ends_neither_it_nor_the_supervisor(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        supervisor.shared.returned = fail_later
        before = pids(supervisor)
        assert before["media"] is not None
        os.kill(before["media"], signal.SIGKILL)
        await until(lambda: any("this is a bug in lkhub" in line for line in said), "the bug")
        supervisor.shared.returned = ignore
        await until(lambda: states(supervisor) == {"media": "running", "serve": "running"}, "media")
        second = pids(supervisor)["media"]
        assert second not in (None, before["media"])
        os.kill(second, signal.SIGKILL)
        await until(lambda: pids(supervisor)["media"] not in (None, second), "it is still watched over")
        assert SECRET not in "\n".join(said)


async def test_what_this_machine_refuses_while_a_process_is_watched_is_no_bug(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lack_descriptors(_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}))
        before = pids(supervisor)["media"]
        monkeypatch.setattr("lkhub.host.processes.wait_until_gone", lack_descriptors)
        os.kill(before or 0, signal.SIGKILL)
        await until(lambda: "can't watch media: OSError (Too many open files)" in "\n".join(said), "the refusal")
        monkeypatch.undo()
        await until(lambda: states(supervisor) == {"media": "running"}, "media")
        assert "bug" not in "\n".join(said)


async def test_bug_in_a_first_start_is_an_error_and_leaves_nothing(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lkhub.supervise.life.wait_ready", fail_later)
    async with supervising(paths, said) as supervisor:
        with pytest.raises(MachineError, match="this is a bug in lkhub: RuntimeError"):
            await supervisor.apply(make_hub(media={}))
        assert supervisor.children == {}


async def test_log_that_cannot_be_written_does_not_end_the_hub(paths: StatePaths, make_hub: MakeHub) -> None:
    """On a full disk, and on a terminal that is gone."""
    errors: list[Exception] = [OSError(28, "No space left on device"), ValueError("I/O operation on closed file")]
    heard: list[str] = []

    def say(text: str) -> None:
        heard.append(text)
        raise errors[len(heard) % 2]

    async def ready(supervisor: Supervisor, _: object) -> None:
        before = pids(supervisor)["media"]
        assert before is not None
        os.kill(before, signal.SIGKILL)
        await until(lambda: pids(supervisor)["media"] not in (None, before), "media")
        await until(lambda: states(supervisor) == {"media": "running"}, "it")
        supervisor.tasks.cancel_scope.cancel()

    with anyio.fail_after(30):
        await run_hub(make_hub(media={}), say, ready, IMPATIENT)
    assert heard


async def test_control_socket_that_is_gone_is_there_again(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[str] = []

    async def ready(supervisor: Supervisor, _: object) -> None:
        os.unlink(paths.control)
        for _ in range(1000):
            with contextlib.suppress(NotRunningError):
                assert (await anyio.to_thread.run_sync(ask, paths.control, StatusRequest())).pid == os.getpid()
                answered.append(paths.control)
                break
            await anyio.sleep(0.01)
        supervisor.tasks.cancel_scope.cancel()

    with anyio.fail_after(30):
        await run_hub(make_hub(media={}), said.append, ready, IMPATIENT)
    assert answered


async def test_every_watcher_is_tried(paths: StatePaths, said: list[str]) -> None:
    """A new watcher belongs into the table above."""
    async with supervising(paths, said) as supervisor:
        watchers = watchers_of(supervisor)
        watchers._answering = Answering(paths.control, {}, supervisor.tasks, said.append)
        assert {watcher.what for watcher in watchers.list()} == set(WATCHERS)
