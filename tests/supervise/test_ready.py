import socket
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from lkhub.plan.model import Ready
from lkhub.supervise.ready import wait_ready
from tests.kit.ports import free_port

pytestmark = pytest.mark.anyio


def answering(*statuses: int) -> Callable[[anyio.abc.SocketStream], object]:
    """Answers one request after the other with these statuses, and then with the last one."""
    left = list(statuses)

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            status = left.pop(0) if len(left) > 1 else left[0]
            await stream.send(b"HTTP/1.1 %d x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status)

    return serve


async def test_process_that_answers_is_ready(short_dir: Path) -> None:
    path = str(short_dir / "x.sock")
    async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answering(200))
        with anyio.fail_after(10):
            await wait_ready(Ready(socket=path))
        tasks.cancel_scope.cancel()


async def test_process_is_waited_for_until_it_binds_and_says_so(short_dir: Path) -> None:
    path = str(short_dir / "x.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    ready = anyio.Event()

    async def wait() -> None:
        await wait_ready(Ready(socket=path))
        ready.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        assert not ready.is_set()
        Path(path).unlink()
        async with await anyio.create_unix_listener(path) as listener:
            tasks.start_soon(listener.serve, answering(503, 503, 404, 200))
            with anyio.fail_after(10):
                await ready.wait()
            tasks.cancel_scope.cancel()


async def test_url_is_asked_until_it_succeeds() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/hub"
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answering(500, 302, 200))
        with anyio.fail_after(10):
            await wait_ready(Ready(url=url))
        tasks.cancel_scope.cancel()


async def test_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    await test_url_is_asked_until_it_succeeds()
