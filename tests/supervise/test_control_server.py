import errno
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from lkhub.errors import HubError, InputError, MachineError, UnwellError
from lkhub.host.control import ask
from lkhub.supervise import control_server as server_module
from lkhub.supervise.control_server import Handler, Tell, serve_control
from lkhub.wire.message import MAX_REQUEST_BYTES
from tests.supervise.talking import echo, request, serving

pytestmark = pytest.mark.anyio


def failing(error: Exception) -> Handler:
    async def fail(_: Mapping[str, Any], __: Tell) -> Any:
        raise error

    return fail


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


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        ExceptionGroup("XYZ", [ExceptionGroup("XYZ", [OSError(errno.EMFILE, "Too many open files")])]),
    ],
    ids=["one", "group"],
)
async def test_what_this_machine_refuses_is_no_bug(path: str, error: Exception) -> None:
    async with serving(path, fail=failing(error)):
        with pytest.raises(MachineError, match=r"can't do that now: OSError \(Too many open files\)"):
            await request(path, "fail")


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


async def test_request_that_is_too_long_is_told_so_on_both_ends(path: str) -> None:
    async with serving(path):
        answer = await send(path, b"x" * (MAX_REQUEST_BYTES + 1000))
        assert f"{MAX_REQUEST_BYTES:,} bytes" in answer["error"]["message"]
        with pytest.raises(InputError, match=f"{MAX_REQUEST_BYTES:,} bytes") as raised:
            await request(path, "echo", environ={"SECRET": "s3cret" * MAX_REQUEST_BYTES})
        assert "s3cret" not in raised.value.message
        assert "{file: PATH}" in raised.value.hints[0]


async def test_variables_of_a_whole_key_file_get_through(path: str) -> None:
    async with serving(path):
        assert len((await request(path, "echo", environ={"KEYS": "k" * 500_000}))["environ"]["KEYS"]) == 500_000


@pytest.mark.parametrize("line", [b"", b'{"do": "ec'], ids=len)
async def test_request_that_does_not_end_ends_nothing(path: str, line: bytes) -> None:
    async with serving(path):
        try:
            await send(path, line)
        except ConnectionError:
            pass
        assert await request(path, "echo")


async def test_one_that_takes_long_keeps_nobody_waiting(path: str) -> None:
    go_on = anyio.Event()

    async def slow(_: Mapping[str, Any], __: Tell) -> Any:
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


async def test_what_is_done_meanwhile_is_told_in_order_to_who_wants_to_hear_it(path: str) -> None:
    async def work(_: Mapping[str, Any], tell: Tell) -> Any:
        for number in range(100):
            tell(f"step {number}")
        await anyio.lowlevel.checkpoint()
        tell("zażółć\nlast")
        return "done"

    heard: list[str] = []
    async with serving(path, work=work):
        answer = await anyio.to_thread.run_sync(lambda: ask(path, "work", on_progress=heard.append))
        # Other versions of the client know of one line alone.
        assert (await send(path, b'{"do": "work"}\n'))["ok"] == "done"
    assert answer == "done"
    assert heard == [*(f"step {number}" for number in range(100)), "zażółć\nlast"]


async def test_work_goes_on_when_who_asked_for_it_has_left(path: str) -> None:
    asked, left, done = anyio.Event(), anyio.Event(), anyio.Event()

    async def work(_: Mapping[str, Any], tell: Tell) -> Any:
        asked.set()
        await left.wait()
        for _number in range(100):
            tell("x" * 10_000)
            await anyio.lowlevel.checkpoint()
        done.set()

    async with serving(path, work=work):
        connection = await anyio.connect_unix(path)
        async with connection:
            await connection.send(b'{"do": "work", "progress": true}\n')
            await asked.wait()
        left.set()
        with anyio.fail_after(10):
            await done.wait()
        assert await request(path, "echo")


async def test_what_was_asked_by_one_who_has_left_before_it_was_heard_is_not_done(path: str) -> None:
    """As of a command that has told its user that the supervisor, which was stopped, does not answer."""
    asked: list[Mapping[str, Any]] = []

    async def stop(request: Mapping[str, Any], _: Tell) -> Any:
        asked.append(request)

    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_control, path, {"echo": echo, "stop": stop})
        # Without letting the server run in between.
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(b'{"do": "stop"}\n')
        assert await request(path, "echo")
        await anyio.wait_all_tasks_blocked()
        assert asked == []
        # One that has no more to say may still listen.
        assert "ok" in await send(path, b'{"do": "stop"}\n')
        assert len(asked) == 1
        tasks.cancel_scope.cancel()


async def test_one_who_does_not_read_keeps_nobody_from_ending(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "SEND_SECONDS", 0.05)
    told = anyio.Event()

    async def work(_: Mapping[str, Any], __: Tell) -> Any:
        told.set()
        return "x" * 10_000_000

    with anyio.fail_after(10):
        async with serving(path, work=work), await anyio.connect_unix(path) as connection:
            await connection.send(b'{"do": "work"}\n')
            await told.wait()


async def test_answer_goes_out_while_everything_is_cancelled(path: str) -> None:
    """As to `stop`, which ends the supervisor."""
    async with anyio.create_task_group() as outer:

        async def stop(_: Mapping[str, Any], __: Tell) -> Any:
            outer.cancel_scope.cancel()
            return "stopped"

        await outer.start(serve_control, path, {"stop": stop})
        with anyio.CancelScope(shield=True):
            assert await request(path, "stop") == "stopped"
