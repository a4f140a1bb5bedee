"""A process that runs and does not answer."""

import os
import signal
import time
from dataclasses import replace

import anyio.abc
import pytest

from lkhub.host.processes import is_stopped
from lkhub.plan.paths import StatePaths
from lkhub.supervise.supervisor import Supervisor
from tests.supervise.conftest import QUICK, MakeHub, list_running, pids, status_of, supervising, watch, watchers_of
from tests.waiting import DEADLINE_SECONDS, until

pytestmark = pytest.mark.anyio


IMPATIENT = replace(QUICK, answer=0.3, hanging_patience=0.1)


def shown(supervisor: Supervisor) -> dict[str, str]:
    return {process["name"]: process["state"] for process in status_of(supervisor)["processes"]}


async def test_process_that_was_stopped_is_not_running_until_it_goes_on(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said, IMPATIENT) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        media = pids(supervisor)["media"]
        assert media is not None
        watch(supervisor, watchers_of(supervisor).hanging.look)
        os.kill(media, signal.SIGSTOP)
        await until(lambda: status_of(supervisor)["hangs"], "the silence")
        assert set(status_of(supervisor)["hangs"]) == {"media"}
        assert f"pid {media} is stopped by a signal" in status_of(supervisor)["hangs"]["media"]
        assert status_of(supervisor)["stopped"] == ("media",)
        assert shown(supervisor) == {"media": "hanging", "serve": "running"}
        assert pids(supervisor)["media"] == media, "told, and not ended"
        os.kill(media, signal.SIGCONT)
        await until(lambda: not status_of(supervisor)["hangs"], "the answer")
        assert status_of(supervisor)["stopped"] == ()
        assert shown(supervisor)["media"] == "running"
        assert said == ["media is there and does not answer", "media answers again"]


@pytest.mark.parametrize(("jump", "patience", "hangs"), [(86_400.0, 60.0, False), (-86_400.0, 0.05, True)])
async def test_setting_the_clock_neither_makes_a_process_hang_nor_hides_one(
    paths: StatePaths,
    said: list[str],
    make_hub: MakeHub,
    monkeypatch: pytest.MonkeyPatch,
    jump: float,
    patience: float,
    hangs: bool,
) -> None:
    async with supervising(paths, said, replace(IMPATIENT, hanging_patience=patience)) as supervisor:
        await supervisor.apply(make_hub(media={}))
        media = pids(supervisor)["media"]
        assert media is not None
        os.kill(media, signal.SIGSTOP)
        looks, now = watchers_of(supervisor).hanging, time.time()
        await looks.look()
        monkeypatch.setattr(time, "time", lambda: now + jump)
        await looks.look()
        await looks.look()
        assert (looks.find(supervisor.children["media"]) is not None) == hangs


async def test_process_without_its_socket_is_reported_too(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said, IMPATIENT) as supervisor:
        await supervisor.apply(make_hub(media={}))
        watch(supervisor, watchers_of(supervisor).hanging.look)
        os.unlink(paths.socket("media"))
        await until(lambda: status_of(supervisor)["hangs"], "the silence")
        assert (
            f"has not answered at its control socket {paths.socket('media')}" in status_of(supervisor)["hangs"]["media"]
        )
        assert status_of(supervisor)["stopped"] == ()


async def test_process_whose_socket_another_one_answers_is_reported_too(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async def answer(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            body = b'{"state": "running", "pid": %d, "rooms": []}' % os.getpid()
            await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))

    async with supervising(paths, said, IMPATIENT) as supervisor:
        await supervisor.apply(make_hub(media={}))
        os.unlink(paths.socket("media"))
        listener = await anyio.create_unix_listener(paths.socket("media"))
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, answer)
            watch(supervisor, watchers_of(supervisor).hanging.look)
            await until(lambda: status_of(supervisor)["hangs"], "the silence")
            assert await supervisor.children["media"].ask_status() is None
            assert await supervisor.calls.count() is None, "a change waits"
            tasks.cancel_scope.cancel()


async def test_short_silence_is_not_reported(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervising(paths, said, replace(IMPATIENT, hanging_patience=3600.0)) as supervisor:
        await supervisor.apply(make_hub(media={}))
        looks = watchers_of(supervisor).hanging
        os.unlink(paths.socket("media"))
        for _ in range(3):
            await looks.look()
        assert shown(supervisor) == {"media": "running"}


async def test_another_process_of_the_name_starts_anew(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said, IMPATIENT) as supervisor:
        await supervisor.apply(make_hub(media={}))
        looks = watchers_of(supervisor).hanging
        os.unlink(paths.socket("media"))
        await looks.look()
        await supervisor.restart(["media"])
        await looks.look()
        assert shown(supervisor) == {"media": "running"}
        assert said == []


@pytest.mark.parametrize("how", ["drain", "now"])
async def test_stopped_process_is_not_waited_for_when_the_hub_ends(
    paths: StatePaths, said: list[str], make_hub: MakeHub, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would hear of it only when it goes on."""
    patient = replace(QUICK, stop_grace=DEADLINE_SECONDS, second_signal=DEADLINE_SECONDS)
    async with supervising(paths, said, patient) as supervisor:
        await supervisor.apply(make_hub(media={}))
        media = pids(supervisor)["media"]
        assert media is not None
        os.kill(media, signal.SIGSTOP)
        process = supervisor.children["media"].process
        assert process is not None
        await until(lambda: is_stopped(process), "the stop")
        await supervisor.stop("drain" if how == "drain" else "now")
        assert list_running(paths) == []
