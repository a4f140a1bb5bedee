import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from lkhub.errors import HubError, InputError, MachineError, UnwellError
from lkhub.supervise.control import MAX_REQUEST_BYTES, Handler, NotRunningError, ask, check_socket_path, serve_control

pytestmark = pytest.mark.anyio


async def echo(request: Mapping[str, Any]) -> Any:
    return dict(request)


def failing(error: Exception) -> Handler:
    async def fail(_: Mapping[str, Any]) -> Any:
        raise error

    return fail


@asynccontextmanager
async def serving(path: str, **handlers: Handler) -> AsyncIterator[None]:
    """A supervisor's end of the control socket."""
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_control, path, {"echo": echo, **handlers})
        yield
        tasks.cancel_scope.cancel()


async def request(path: str, do: str, **fields: Any) -> Any:
    with anyio.fail_after(10):
        return await anyio.to_thread.run_sync(lambda: ask(path, do, **fields))


async def send(path: str, line: bytes) -> dict[str, Any]:
    """One raw request; the answer, {} where the connection was closed without one."""

    def talk() -> bytes:
        with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as reader:
            connection.settimeout(10)
            connection.connect(path)
            connection.sendall(line)
            connection.shutdown(socket.SHUT_WR)
            return reader.readline()

    answer: dict[str, Any] = json.loads(await anyio.to_thread.run_sync(talk) or b"{}")
    return answer


@pytest.fixture
def path(short_dir: Path) -> str:
    return str(short_dir / "control.sock")


async def test_request_is_answered(path: str) -> None:
    async with serving(path):
        assert await request(path, "echo", text="zażółć\n", number=1) == {"do": "echo", "text": "zażółć\n", "number": 1}


async def test_socket_is_for_this_user_alone(path: str) -> None:
    async with serving(path):
        assert os.stat(path).st_mode & 0o777 == 0o600


async def test_left_over_socket_is_replaced(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    async with serving(path):
        assert await request(path, "echo")


@pytest.mark.parametrize(
    "error",
    [UnwellError("a", hints=["b"]), InputError("a", hints=["b"]), MachineError("a", hints=["b", "c"])],
    ids=repr,
)
async def test_error_arrives_as_it_was_raised(path: str, error: HubError) -> None:
    async with serving(path, fail=failing(error)):
        with pytest.raises(type(error)) as raised:
            await request(path, "fail")
    assert (raised.value.message, raised.value.hints) == (error.message, error.hints)
    assert raised.value.exit_code == error.exit_code


@pytest.mark.parametrize("error", [ValueError("XYZ"), KeyError("XYZ"), RuntimeError("XYZ")], ids=repr)
async def test_bug_in_one_answer_is_told_and_ends_nothing(path: str, error: Exception) -> None:
    async with serving(path, fail=failing(error)):
        with pytest.raises(HubError, match="bug in lkhub") as raised:
            await request(path, "fail")
        assert "XYZ" not in raised.value.message, "what a bug says may hold a secret"
        assert await request(path, "echo")


NONSENSE = (
    b"\n",
    b"nonsense\n",
    b"{}\n",
    b"[]\n",
    b"1\n",
    b"null\n",
    b'{"do": 1}\n',
    b'{"do": []}\n',
    b'{"do": "nope"}\n',
    b"\xff\n",
)


@pytest.mark.parametrize("line", [*NONSENSE, b"[" * 5000 + b"\n"], ids=lambda line: repr(line[:20]))
async def test_nonsense_is_refused_and_ends_nothing(path: str, line: bytes) -> None:
    async with serving(path):
        answer = await send(path, line)
        assert "error" in answer
        assert set(answer["error"]) == {"message", "hints", "exit_code"}
        assert await request(path, "echo")


@pytest.mark.parametrize("line", [b"", b'{"do": "ec', b"x" * (MAX_REQUEST_BYTES + 1000)], ids=len)
async def test_request_that_does_not_end_ends_nothing(path: str, line: bytes) -> None:
    async with serving(path):
        try:
            await send(path, line)
        except ConnectionError:
            pass
        assert await request(path, "echo")


async def test_one_that_takes_long_keeps_nobody_waiting(path: str) -> None:
    go_on = anyio.Event()

    async def slow(_: Mapping[str, Any]) -> Any:
        await go_on.wait()
        return "done"

    answers: list[Any] = []

    async def ask_slow() -> None:
        answers.append(await request(path, "slow"))

    async with serving(path, slow=slow), anyio.create_task_group() as tasks:
        tasks.start_soon(ask_slow)
        assert await request(path, "echo")
        assert answers == []
        go_on.set()
    assert answers == ["done"]


async def test_answer_goes_out_while_everything_is_cancelled(path: str) -> None:
    """As to `stop`, which ends the supervisor."""
    async with anyio.create_task_group() as outer:

        async def stop(_: Mapping[str, Any]) -> Any:
            outer.cancel_scope.cancel()
            return "stopped"

        async def serve() -> None:
            async with anyio.create_task_group() as tasks:
                await tasks.start(serve_control, path, {"stop": stop})

        outer.start_soon(serve)
        with anyio.CancelScope(shield=True):
            while not os.path.exists(path):
                await anyio.sleep(0.005)
            assert await request(path, "stop") == "stopped"


@contextmanager
def listening(path: str, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """A supervisor that behaves badly with the one connection that it gets."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield
        thread.join(10)


@pytest.mark.parametrize(
    "serve",
    [lambda connection: None, lambda connection: connection.recv(1), lambda connection: connection.recv(4096)],
    ids=["at once", "while it is asked", "before it answers"],
)
def test_supervisor_that_dies_while_it_is_asked_is_a_machine_error(
    path: str, serve: Callable[[socket.socket], None]
) -> None:
    with listening(path, serve), pytest.raises(MachineError, match="ended before it answered"):
        ask(path, "status", padding="x" * 1000)


@pytest.mark.parametrize("answer", [b"nonsense\n", b"[]\n", b"{}\n", b'{"ok": tr'], ids=repr)
def test_supervisor_that_answers_nonsense_is_a_hub_error(path: str, answer: bytes) -> None:
    """It was killed in the middle of its answer, or is of another version."""

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    with listening(path, serve), pytest.raises(HubError):
        ask(path, "status")


def test_nobody_who_listens_is_a_hub_that_is_not_running(path: str) -> None:
    with pytest.raises(NotRunningError, match="not running") as raised:
        ask(path, "status")
    assert raised.value.exit_code == 1
    assert raised.value.hints == ("`lkhub up` starts it",)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with pytest.raises(NotRunningError):
        ask(path, "status")


def test_path_that_no_socket_can_have_is_refused(short_dir: Path) -> None:
    long = f"{short_dir}/{'x' * 100}/control.sock"
    with pytest.raises(MachineError, match="too long") as raised:
        check_socket_path(long)
    assert "--state" in raised.value.hints[0]
    with pytest.raises(MachineError, match="too long"):
        ask(long, "status")
    check_socket_path("/" + "x" * 102)
    with pytest.raises(MachineError):
        check_socket_path("/" + "é" * 60)
