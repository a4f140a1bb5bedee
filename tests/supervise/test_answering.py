"""The control socket may fail while the supervisor goes on."""

import errno
import socket
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup, TaskStatus

from lkhub.errors import MachineError
from lkhub.plan.paths import StatePaths
from lkhub.supervise import answering
from lkhub.supervise.answering import Answering
from lkhub.supervise.control_server import Tell, serve_control
from lkhub.supervise.timings import Timings
from tests.supervise.talking import Said, Work, request
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_socket_that_ends_by_an_error_is_opened_again(
    paths: StatePaths, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when no file descriptor is left for a new connection."""
    lives: list[anyio.Event] = []

    async def serve(
        path: str, handlers: Any, outer: TaskGroup, timings: Timings, *, task_status: TaskStatus[None]
    ) -> None:
        lives.append(anyio.Event())
        async with anyio.create_task_group() as tasks:
            await tasks.start(serve_control, path, handlers, outer, timings)
            task_status.started()
            await lives[-1].wait()
            raise OSError(24, "Too many open files")

    monkeypatch.setattr(answering, "serve_control", serve)
    async with anyio.create_task_group() as tasks:
        served = Answering(paths.control, {}, tasks, said.append)
        await served.look()
        await served.look()
        assert len(lives) == 1, "it is there"
        lives[0].set()
        await until(lambda: said, "its end")
        assert said == ["the control socket ended and is opened again: OSError (Too many open files)"]
        await served.look()
        assert len(lives) == 2
        tasks.cancel_scope.cancel()


async def test_socket_that_fails_ends_no_work_that_was_asked_for_over_it(
    paths: StatePaths, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a change that has stopped a process and not yet started the next one."""
    begun, opened_again = anyio.Event(), anyio.Event()
    answers: list[Said] = []
    accept = socket.socket.accept

    async def work(_: Work, __: Tell) -> Said:
        begun.set()
        await opened_again.wait()
        return Said("done")

    async def ask() -> None:
        answers.append(await request(paths.control, Work()))

    def refuse(listener: socket.socket) -> tuple[socket.socket, Any]:
        if begun.is_set() and not said:
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", refuse)
    async with anyio.create_task_group() as tasks:
        answering = Answering(paths.control, {Work: work}, tasks, said.append)
        await answering.look()
        async with anyio.create_task_group() as asking:
            asking.start_soon(ask)
            await begun.wait()
            async with await anyio.connect_unix(paths.control):  # wakes the server, which can't accept it
                await until(lambda: said, "the end of the socket")
            await answering.look()
            opened_again.set()
        assert answers == [Said("done")]
        assert said == ["the control socket ended and is opened again: OSError (Too many open files)"]
        tasks.cancel_scope.cancel()


async def test_two_that_miss_it_open_it_once(
    paths: StatePaths, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    async def serve(
        path: str, handlers: Any, outer: TaskGroup, timings: Timings, *, task_status: TaskStatus[None]
    ) -> None:
        opened.append(path)
        await serve_control(path, handlers, outer, timings, task_status=task_status)

    monkeypatch.setattr(answering, "serve_control", serve)
    async with anyio.create_task_group() as tasks:
        served = Answering(paths.control, {}, tasks, said.append)
        async with anyio.create_task_group() as both:
            both.start_soon(served.look)
            both.start_soon(served.look)
        assert opened == [paths.control]
        tasks.cancel_scope.cancel()


async def test_socket_that_can_not_be_opened_is_an_error_of_the_check(short_dir: Any, said: list[str]) -> None:
    async with anyio.create_task_group() as tasks:
        with pytest.raises((MachineError, OSError)):
            await Answering(f"{short_dir}/nowhere/control.sock", {}, tasks, said.append).look()
        tasks.cancel_scope.cancel()
