import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import anyio
import anyio.abc
import anyio.lowlevel
import httpx
import psutil
import pytest

from lkhub.host.processes import ProcessId, identify
from lkhub.plan.process import Health
from lkhub.supervise import ready as ready_module
from lkhub.supervise.ready import NotItsAnswerError, read_own, wait_ready
from lkhub.supervise.timings import USUAL
from tests.kit.ports import free_port
from tests.waiting import DEADLINE_SECONDS, until

pytestmark = pytest.mark.anyio

OWN = json.dumps({"state": "running", "pid": os.getpid()})

Answer = int | tuple[int, str]


def this_process() -> ProcessId:
    process = identify(os.getpid())
    assert process is not None
    return process


def answering(*answers: Answer) -> Callable[[anyio.abc.SocketStream], object]:
    """Answers one request after the other with these statuses and bodies, and then with the last one."""
    left = list(answers)

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            answer = left.pop(0) if len(left) > 1 else left[0]
            status, body = answer if isinstance(answer, tuple) else (answer, OWN)
            await stream.send(
                b"HTTP/1.1 %d x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
                % (status, len(body), body.encode())
            )

    return serve


async def test_process_that_answers_is_ready(short_dir: Path) -> None:
    path = str(short_dir / "x.sock")
    async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answering(200))
        with anyio.fail_after(10):
            await wait_ready(Health(socket=path), this_process(), pytest.fail, believed=USUAL.believed)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "a program that is not lkhub's answers"),
        ("OK", "a program that is not lkhub's answers"),
        ("[]", "a program that is not lkhub's answers"),
        ('{"state": "running"}', "a program that is not lkhub's answers"),
        ('{"state": "running", "pid": "1"}', "a program that is not lkhub's answers"),
        ('{"state": "running", "pid": 1}', "another process (pid 1) answers"),
        (f'{{"state": "running", "pid": {10**30}}}', f"another process (pid {10**30}) answers"),
    ],
)
async def test_answer_of_another_process_does_not_count_and_is_reported(short_dir: Path, body: str, says: str) -> None:
    path = str(short_dir / "x.sock")
    seen: list[str] = []
    ready = anyio.Event()

    async def wait() -> None:
        await wait_ready(Health(socket=path), this_process(), seen.append, believed=USUAL.believed)
        ready.set()

    async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answering((200, body)))
        tasks.start_soon(wait)
        await until(lambda: len(seen) > 3 or ready.is_set(), "some answers")
        assert not ready.is_set()
        assert set(seen) == {f"{says} at its control socket {path}"}
        tasks.cancel_scope.cancel()


async def test_process_is_waited_for_until_it_binds_and_says_so(short_dir: Path) -> None:
    path = str(short_dir / "x.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    ready = anyio.Event()

    async def wait() -> None:
        await wait_ready(Health(socket=path), this_process(), lambda _: None, believed=USUAL.believed)
        ready.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        assert not ready.is_set()
        Path(path).unlink()
        async with await anyio.create_unix_listener(path) as listener:
            tasks.start_soon(listener.serve, answering(503, 503, 404, (200, '{"pid": 1}'), 200))
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
            await wait_ready(Health(url=url), this_process(), pytest.fail, believed=USUAL.believed)
        tasks.cancel_scope.cancel()


@contextmanager
def another_process(script: str) -> Iterator[ProcessId]:
    """A Python program in a session of its own, as the supervisor's are; it says a line when it is there."""
    popen = subprocess.Popen(
        [sys.executable, "-ISsc", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert popen.stdout is not None
    assert popen.stdin is not None
    with popen:
        try:
            popen.stdout.readline()
            process = identify(popen.pid)
            assert process is not None
            yield process
        finally:
            popen.stdin.close()


SILENT = "print(flush=True); input()"


async def test_url_that_another_process_answers_is_not_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its port was taken while it was being restarted: it is about to end."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    seen: list[str] = []
    ready = anyio.Event()

    async def wait(process: ProcessId) -> None:
        await wait_ready(Health(url=url), process, seen.append, believed=DEADLINE_SECONDS)
        ready.set()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    with another_process(SILENT) as process:
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, answering(200))
            tasks.start_soon(wait, process)
            await until(lambda: len(seen) > 1 or ready.is_set(), "some answers")
            assert not ready.is_set()
            assert set(seen) == {f"another process answers at {url}"}
            tasks.cancel_scope.cancel()


async def test_url_of_a_process_that_can_not_be_seen_to_listen_is_believed_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Like the process of a container that a script has started."""
    port = free_port()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    with another_process(SILENT) as process:
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, answering(200))
            with anyio.fail_after(DEADLINE_SECONDS):
                await wait_ready(Health(url=f"http://127.0.0.1:{port}/"), process, lambda _: None, believed=0.05)
            tasks.cancel_scope.cancel()


async def test_url_that_fails_meanwhile_is_believed_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process has answered before counts no more."""
    clock = itertools.count(0.0, 3.0)
    monkeypatch.setattr(ready_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    notes: list[str] = []
    port = free_port()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    with another_process(SILENT) as process:
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, answering(200, 503, 200))
            with anyio.fail_after(DEADLINE_SECONDS):
                await wait_ready(Health(url=f"http://127.0.0.1:{port}/"), process, notes.append, believed=5.0)
            tasks.cancel_scope.cancel()
    assert len(notes) == 3, "one before the failure, and two after it"


STARTER = "import subprocess, sys; subprocess.Popen([sys.executable, '-ISsc', 'print(flush=True); input()']).wait()"


async def test_answer_of_a_process_that_a_script_has_started_is_its_own() -> None:
    with another_process(STARTER) as script:
        [started] = psutil.Process(script.pid).children()
        assert read_own(httpx.Response(200, json={"pid": started.pid}), script)["pid"] == started.pid
        with pytest.raises(NotItsAnswerError):
            read_own(httpx.Response(200, json={"pid": os.getpid()}), script)


async def test_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    await test_url_is_asked_until_it_succeeds()
