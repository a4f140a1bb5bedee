"""The control socket may fail while the supervisor goes on."""

from typing import Any

import anyio
import anyio.abc
import pytest

from lkhub.errors import MachineError
from lkhub.plan.paths import StatePaths
from lkhub.supervise import answering
from lkhub.supervise.answering import Answering
from lkhub.supervise.control_server import serve_control
from lkhub.supervise.timings import Timings
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_socket_that_ends_by_an_error_is_opened_again(
    paths: StatePaths, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when no file descriptor is left for a new connection."""
    lives: list[anyio.Event] = []

    async def serve(path: str, handlers: Any, timings: Timings, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        lives.append(anyio.Event())
        async with anyio.create_task_group() as tasks:
            await tasks.start(serve_control, path, handlers, timings)
            task_status.started()
            await lives[-1].wait()
            raise OSError(24, "Too many open files")

    monkeypatch.setattr(answering, "serve_control", serve)
    async with anyio.create_task_group() as tasks:
        socket = Answering(paths.control, {}, tasks, said.append)
        await socket.look()
        await socket.look()
        assert len(lives) == 1, "it is there"
        lives[0].set()
        await until(lambda: said, "its end")
        assert said == ["the control socket ended and is opened again: OSError (Too many open files)"]
        await socket.look()
        assert len(lives) == 2
        tasks.cancel_scope.cancel()


async def test_two_that_miss_it_open_it_once(
    paths: StatePaths, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    async def serve(path: str, handlers: Any, timings: Timings, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        opened.append(path)
        await serve_control(path, handlers, timings, task_status=task_status)

    monkeypatch.setattr(answering, "serve_control", serve)
    async with anyio.create_task_group() as tasks:
        socket = Answering(paths.control, {}, tasks, said.append)
        async with anyio.create_task_group() as both:
            both.start_soon(socket.look)
            both.start_soon(socket.look)
        assert opened == [paths.control]
        tasks.cancel_scope.cancel()


async def test_socket_that_can_not_be_opened_is_an_error_of_the_check(short_dir: Any, said: list[str]) -> None:
    async with anyio.create_task_group() as tasks:
        with pytest.raises((MachineError, OSError)):
            await Answering(f"{short_dir}/nowhere/control.sock", {}, tasks, said.append).look()
        tasks.cancel_scope.cancel()
