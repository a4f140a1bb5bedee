import contextlib
import errno
import json
import os
import shutil
import socket
from dataclasses import replace
from http.client import HTTPResponse, RemoteDisconnected
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from lkhub import __version__
from lkhub.errors import HubError, InputError, MachineError, UnwellError
from lkhub.host.files import MAX_INPUT_BYTES
from lkhub.supervise.control_server import MAX_CONNECTIONS, Handler, Tell, _Exchange, serve_control
from lkhub.supervise.timings import USUAL
from lkhub.wire.control import Stopped, StopRequest
from lkhub.wire.exchange import JSON_LINES, MAX_REQUEST_BYTES, RESTART, Ping, Pong
from lkhub.wire.message import VERSION
from tests.supervise.talking import Echo, Said, Work, echo, request, serving
from tests.waiting import DEADLINE_SECONDS, until

pytestmark = pytest.mark.anyio


def failing(error: Exception) -> Handler:
    async def fail(_: Work, __: Tell) -> Said:
        raise error

    return fail


def http(path: str, body: bytes = b"", method: str = "POST", **headers: str) -> bytes:
    """A request as curl sends it."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {path} HTTP/1.1\r\nHost: control\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


async def send(path: str, sent: bytes) -> tuple[int, list[dict[str, Any]]]:
    """One raw request: the status of its answer, and its lines; 0 where the connection was closed without one."""

    def talk() -> tuple[int, list[dict[str, Any]]]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(path)
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = HTTPResponse(connection)
            try:
                answer.begin()
            except RemoteDisconnected:
                return 0, []
            return answer.status, [json.loads(line) for line in answer.read().splitlines()]

    return await anyio.to_thread.run_sync(talk)


@pytest.fixture
def path(short_dir: Path) -> str:
    return str(short_dir / "control.sock")


async def test_request_is_answered(path: str) -> None:
    async with serving(path):
        assert await request(path, Echo(text="zażółć\n")) == Said("zażółć\n")
        assert await request(path, Ping()) == Pong()


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
async def test_curl_is_a_client(path: str) -> None:
    async with serving(path):
        command = ["curl", "--silent", "--fail", "--unix-socket", path, "http://control/ping"]
        done = await anyio.run_process(command)
    assert json.loads(done.stdout) == {"version": VERSION, "lkhub": __version__}


async def test_socket_is_for_this_user_alone(path: str) -> None:
    async with serving(path):
        assert os.stat(path).st_mode & 0o777 == 0o600


async def test_left_over_socket_is_replaced(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    async with serving(path):
        assert await request(path, Echo())


@pytest.mark.parametrize(
    "error",
    [UnwellError("a", hints=["b"]), InputError("a", hints=["b"]), MachineError("a", hints=["b", "c"], code="d")],
    ids=repr,
)
async def test_error_arrives_as_it_was_raised(path: str, error: HubError) -> None:
    async with serving(path, failing(error)):
        with pytest.raises(type(error)) as raised:
            await request(path, Work())
    assert (raised.value.message, raised.value.hints, raised.value.code) == (error.message, error.hints, error.code)
    assert raised.value.exit_code == error.exit_code


@pytest.mark.parametrize("error", [ValueError("XYZ"), KeyError("XYZ"), RuntimeError("XYZ")], ids=repr)
async def test_bug_in_one_answer_is_reported_and_ends_nothing(path: str, error: Exception) -> None:
    async with serving(path, failing(error)):
        with pytest.raises(HubError, match="bug in lkhub") as raised:
            await request(path, Work())
        assert "XYZ" not in raised.value.message, "what a bug says may hold a secret"
        assert await request(path, Echo())


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        ExceptionGroup("XYZ", [ExceptionGroup("XYZ", [OSError(errno.EMFILE, "Too many open files")])]),
    ],
    ids=["one", "group"],
)
async def test_what_this_machine_refuses_is_no_bug(path: str, error: Exception) -> None:
    async with serving(path, failing(error)):
        with pytest.raises(MachineError, match=r"can't do that now: OSError \(Too many open files\)"):
            await request(path, Work())


NAMED = {"version": VERSION, "lkhub": __version__}

NONSENSE = (
    (b"nonsense\r\n\r\n", 400),
    (b"\n\n\n\0", 400),
    (b"GET /ping HTTP/1.1\r\n\r\n", 400),  # without a host
    (http("/echo", b"[]"), 400),
    (http("/echo", b"null"), 400),
    (http("/echo", b"\xff"), 400),
    (http("/echo", b"[" * 5000), 400),
    (http("/echo", b'{"text": 1}'), 400),
    (http("/ping?x", method="GET"), 400),
    (http("/ping?x=y", method="GET"), 400),
    (http("/nope"), 400),
    (http("/echo", method="GET"), 400),
    (http("/ping", method="POST"), 400),
    (b"GET /ping HTTP/1.1\r\nHost: " + b"x" * 100_000 + b"\r\n\r\n", 400),
)


@pytest.mark.parametrize(("sent", "status"), NONSENSE, ids=lambda value: repr(value)[:30])
async def test_nonsense_is_refused_and_ends_nothing(path: str, sent: bytes, status: int) -> None:
    async with serving(path):
        code, [answer] = await send(path, sent)
        assert code == status
        assert set(answer) == {"error", "version", "lkhub"}
        assert set(answer["error"]) == {"message", "hints", "exit_code", "code"}
        assert await request(path, Echo())


async def test_request_of_another_version_of_the_messages_is_refused_unless_all_have_it(path: str) -> None:
    async def stop(_: StopRequest, __: Tell) -> Stopped:
        return Stopped()

    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_control, path, {Echo: echo, StopRequest: stop}, tasks)
        other = {"version": VERSION + 1, "text": "a", "drain": True}
        code, [answer] = await send(path, http("/echo", json.dumps(other).encode()))
        assert (code, answer["version"], answer["lkhub"]) == (400, VERSION, __version__)
        assert answer["error"]["message"].startswith(f"the running supervisor is lkhub {__version__}")
        assert answer["error"]["hints"] == list(RESTART)
        assert await send(path, http("/echo", b'{"text": "a"}')) == (200, [{**NAMED, "text": "a"}])
        assert await send(path, http("/stop", json.dumps(other).encode())) == (200, [NAMED])
        assert await send(path, http(f"/ping?version={VERSION + 1}", method="GET")) == (200, [NAMED])
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("error", "status"),
    [(UnwellError("a"), 409), (InputError("a"), 400), (MachineError("a"), 503), (ValueError("a"), 500)],
    ids=repr,
)
async def test_status_code_says_what_kind_of_failure_it_is(path: str, error: Exception, status: int) -> None:
    async with serving(path, failing(error)):
        code, [answer] = await send(path, http("/work"))
    assert (code, "error" in answer) == (status, True)


async def test_request_that_is_too_long_is_told_so_on_both_ends(path: str) -> None:
    async with serving(path):
        code, [answer] = await send(path, http("/echo", b"x" * (MAX_REQUEST_BYTES + 1000)))
        assert code == 400
        assert f"{MAX_REQUEST_BYTES:,} bytes" in answer["error"]["message"]
        with pytest.raises(InputError, match=f"{MAX_REQUEST_BYTES:,} bytes") as raised:
            await request(path, Echo(environ={"SECRET": "s3cret" * MAX_REQUEST_BYTES}))
        assert "s3cret" not in raised.value.message
        assert "{file: PATH}" in raised.value.hints[0]


async def test_variables_of_a_whole_key_file_get_through(path: str) -> None:
    assert MAX_REQUEST_BYTES == MAX_INPUT_BYTES
    async with serving(path):
        assert len((await request(path, Echo(environ={"KEYS": "k" * 500_000}))).text) == 500_000


@pytest.mark.parametrize("sent", [b"", b"POST /work HT", http("/work", b"{}")[:-1], http("/work")[:-1]], ids=len)
async def test_request_that_does_not_end_has_no_effect_and_ends_nothing(path: str, sent: bytes) -> None:
    asked: list[Work] = []

    async def work(request: Work, _: Tell) -> Said:
        asked.append(request)
        return Said("done")

    async with serving(path, work):
        with contextlib.suppress(ConnectionError):
            assert await send(path, sent) == (0, [])
        assert await request(path, Echo())
    assert asked == []


@pytest.mark.parametrize("sent", [b"", b"POST /work HT", http("/work", b"{}")[:-1]], ids=len)
async def test_connection_without_a_request_is_closed_after_a_while(path: str, sent: bytes) -> None:
    """More of them than are answered at once keep no command from its answer, however long they are held open."""
    quick = replace(USUAL, request=0.1)
    async with serving(path, timings=quick), contextlib.AsyncExitStack() as held:
        for _ in range(2 * MAX_CONNECTIONS):
            connection = await held.enter_async_context(await anyio.connect_unix(path))
            if sent:
                await connection.send(sent)
        with anyio.fail_after(DEADLINE_SECONDS):
            assert await request(path, Echo(text="here")) == Said("here")
            with pytest.raises(anyio.EndOfStream):
                await connection.receive()


async def test_only_so_many_are_answered_at_once_and_the_others_after_them(path: str) -> None:
    go_on = anyio.Event()
    now, most, answered = 0, 0, 0

    async def work(_: Work, __: Tell) -> Said:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await go_on.wait()
        now -= 1
        return Said("done")

    async def ask_work() -> None:
        nonlocal answered
        async with await anyio.connect_unix(path) as connection:
            await connection.send(http("/work"))
            assert (await connection.receive()).startswith(b"HTTP/1.1 200")
            answered += 1

    with anyio.fail_after(DEADLINE_SECONDS):
        async with serving(path, work), anyio.create_task_group() as tasks:
            for _ in range(2 * MAX_CONNECTIONS):
                tasks.start_soon(ask_work)
            await until(lambda: now == MAX_CONNECTIONS, "all that are answered at once")
            await anyio.wait_all_tasks_blocked()
            go_on.set()
    assert (most, answered) == (MAX_CONNECTIONS, 2 * MAX_CONNECTIONS)


async def test_slow_request_keeps_no_other_waiting(path: str) -> None:
    go_on = anyio.Event()

    async def slow(_: Work, __: Tell) -> Said:
        await go_on.wait()
        return Said("done")

    answers: list[Said] = []

    async def ask_slow() -> None:
        answers.append(await request(path, Work()))

    async with serving(path, slow), anyio.create_task_group() as tasks:
        tasks.start_soon(ask_slow)
        assert await request(path, Echo())
        assert await request(path, Ping())
        assert answers == []
        go_on.set()
    assert answers == [Said("done")]


async def test_what_is_done_meanwhile_is_told_in_order_to_who_wants_to_hear_it(path: str) -> None:
    async def work(_: Work, tell: Tell) -> Said:
        for number in range(100):
            tell(f"step {number}")
        await anyio.lowlevel.checkpoint()
        tell("zażółć\nlast")
        return Said("done")

    steps = [*(f"step {number}" for number in range(100)), "zażółć\nlast"]
    heard: list[str] = []
    async with serving(path, work):
        assert await request(path, Work(), on_progress=heard.append) == Said("done")
        # As curl gets it, which reads in chunks.
        code, lines = await send(path, http("/work", Accept=JSON_LINES))
        assert await send(path, http("/work")) == (200, lines[-1:])
    assert heard == steps
    assert code == 200
    assert [line["progress"] for line in lines[:-1]] == steps
    assert lines[-1]["text"] == "done"


async def test_failure_after_a_word_of_progress_is_a_failure(path: str) -> None:
    async def work(_: Work, tell: Tell) -> Said:
        tell("begun")
        await anyio.lowlevel.checkpoint()
        raise MachineError("the disk is full")

    heard: list[str] = []
    async with serving(path, work):
        with pytest.raises(MachineError, match="the disk is full"):
            await request(path, Work(), on_progress=heard.append)
    assert heard == ["begun"]


async def test_work_goes_on_when_who_asked_for_it_has_left(path: str) -> None:
    asked, left, done = anyio.Event(), anyio.Event(), anyio.Event()

    async def work(_: Work, tell: Tell) -> Said:
        asked.set()
        await left.wait()
        for _number in range(100):
            tell("x" * 10_000)
            await anyio.lowlevel.checkpoint()
        done.set()
        return Said("done")

    async with serving(path, work):
        connection = await anyio.connect_unix(path)
        async with connection:
            await connection.send(http("/work", Accept=JSON_LINES))
            await asked.wait()
        left.set()
        with anyio.fail_after(10):
            await done.wait()
        assert await request(path, Echo())


async def test_request_of_a_client_that_left_early_is_not_executed(path: str) -> None:
    """As of a command that has told its user that the supervisor, which was stopped, does not answer."""
    asked: list[Work] = []

    async def work(request: Work, _: Tell) -> Said:
        asked.append(request)
        return Said("done")

    async with serving(path, work):
        # Without letting the server run in between.
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(http("/work"))
        assert await request(path, Echo())
        await anyio.wait_all_tasks_blocked()
        assert asked == []
        # A client that has finished sending may still read.
        assert (await send(path, http("/work")))[0] == 200
        assert len(asked) == 1


async def test_client_that_does_not_read_prevents_no_end(path: str) -> None:
    quick = replace(USUAL, send=0.05)
    told = anyio.Event()

    async def work(_: Work, __: Tell) -> Said:
        told.set()
        return Said("x" * 10_000_000)

    with anyio.fail_after(10):
        async with serving(path, work, quick), await anyio.connect_unix(path) as connection:
            await connection.send(http("/work"))
            await told.wait()


async def test_bug_in_sending_an_answer_ends_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def finish(*_: object) -> None:
        raise RuntimeError("a bug")

    async with serving(path):
        with monkeypatch.context() as failing:
            failing.setattr(_Exchange, "finish", finish)
            assert (await send(path, http("/work")))[0] == 0
        assert await request(path, Echo())


async def test_answer_goes_out_while_everything_is_cancelled(path: str) -> None:
    """As to `stop`, which ends the supervisor."""
    async with anyio.create_task_group() as outer:

        async def work(_: Work, __: Tell) -> Said:
            outer.cancel_scope.cancel()
            return Said("stopped")

        await outer.start(serve_control, path, {Work: work}, outer)
        with anyio.CancelScope(shield=True):
            assert await request(path, Work()) == Said("stopped")
