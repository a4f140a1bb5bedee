import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from lkhub import __version__
from lkhub.errors import HubError, InputError, MachineError, UnwellError
from lkhub.host.processes import read_state
from lkhub.supervise import control as control_module
from lkhub.supervise import control_server as server_module
from lkhub.supervise.control import NotRunningError, UnresponsiveError, ask, ask_settled
from lkhub.supervise.control_server import Handler, Tell, serve_control
from lkhub.supervise.message import MAX_REQUEST_BYTES
from tests.waiting import DEADLINE_SECONDS, wait_until

pytestmark = pytest.mark.anyio


async def echo(request: Mapping[str, Any], _: Tell) -> Any:
    return dict(request)


def failing(error: Exception) -> Handler:
    async def fail(_: Mapping[str, Any], __: Tell) -> Any:
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


def test_answer_of_another_version_may_say_more_and_what_it_lacks_is_told_with_both_versions(path: str) -> None:
    said = {"new": [1], "processes": [{"name": "media", "mood": "good"}]}

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(json.dumps({"ok": said, "version": "9.1.7", "feeling": "well"}).encode() + b"\n")

    with listening(path, serve):
        answer = ask(path, "status")
    assert answer == said
    said_so = rf"supervisor \(lkhub 9\.1\.7\) does not tell '\w+', and this lkhub is {__version__}"
    for part, key in ((answer, "pid"), (answer["processes"][0], "state")):
        with pytest.raises(MachineError, match=said_so) as raised:
            part[key]
        assert "`lkhub down`, then `lkhub up`" in raised.value.hints[0]


def test_supervisor_from_before_it_told_its_version_is_an_earlier_one(path: str) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b'{"ok": {}}\n')

    with listening(path, serve), pytest.raises(MachineError, match="of an earlier version"):
        ask(path, "status")["pid"]


async def test_request_of_another_version_that_lacks_something_is_no_bug(path: str) -> None:
    async def apply(asked: Mapping[str, Any], _: Tell) -> Any:
        return asked["spec"]

    async with serving(path, apply=apply):
        for do, said in (("apply", "needs to be told 'spec'"), ("dance", "can't do that")):
            with pytest.raises(InputError, match=rf"supervisor \(lkhub {__version__}\) {said}") as raised:
                await request(path, do)
            assert "`lkhub down`" in raised.value.hints[0]


# --- one that does not answer


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_module, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(control_module, "PING_SECONDS", 0.2)


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("do", ["status", "apply", "restart", "stop"])
def test_supervisor_that_does_nothing_does_not_answer_whatever_it_is_asked(path: str, do: str) -> None:
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(path)
        hung.listen()
        with pytest.raises(UnresponsiveError, match=rf"does not answer \(pid {os.getpid()}, \w+\)") as raised:
            ask(path, do)
    assert raised.value.exit_code == 1
    assert f"`kill -9 {os.getpid()}`, then `lkhub up`" in raised.value.hints[0]


@pytest.mark.usefixtures("_short")
def test_supervisor_that_takes_nobody_up_does_not_answer(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as hung, contextlib.ExitStack() as others:
        hung.bind(path)
        hung.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:  # until its queue is full
                waiting = others.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(path)
        with pytest.raises(UnresponsiveError, match="does not answer"):
            ask(path, "status")


@pytest.mark.usefixtures("_short")
def test_supervisor_that_reads_nothing_does_not_answer(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(path)
        hung.listen()
        with pytest.raises(UnresponsiveError, match="does not answer"):
            ask(path, "apply", environ={"KEYS": "k" * 900_000})


@pytest.mark.usefixtures("_short")
async def test_supervisor_that_works_for_long_is_waited_for(path: str) -> None:
    """For much longer than one that is silent."""

    async def slow(_: Mapping[str, Any], __: Tell) -> Any:
        await anyio.sleep(4 * (control_module.SILENCE_SECONDS + control_module.PING_SECONDS))
        return "done"

    async with serving(path, slow=slow):
        assert await request(path, "slow") == "done"


@pytest.mark.usefixtures("_short")
def test_supervisor_of_an_earlier_version_that_works_for_long_is_waited_for(path: str) -> None:
    """It knows no ping, and says so."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            first, _ = listener.accept()
            with first:
                for _number in range(5):
                    with listener.accept()[0] as asked:
                        asked.recv(4096)
                        asked.sendall(b'{"error": {"message": "not a request", "hints": [], "exit_code": 2}}\n')
                first.sendall(b'{"ok": "done"}\n')

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert ask(path, "stop") == "done"
        thread.join(10)


def test_supervisor_that_was_stopped_is_told_within_seconds_with_the_way_on(path: str) -> None:
    listen = "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()"
    code = f"import socket, sys, time\n{listen}\nprint(flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            assert process.stdout.readline(), "it listens"
            process.send_signal(signal.SIGSTOP)
            wait_until(lambda: read_state(process.pid) == "stopped", "it is stopped")
            before = time.monotonic()
            with pytest.raises(UnresponsiveError, match=rf"\(pid {process.pid}, stopped\)") as raised:
                ask(path, "status")
            assert time.monotonic() - before < control_module.SILENCE_SECONDS + control_module.PING_SECONDS
            assert raised.value.hints[0] == f"`kill -CONT {process.pid}` lets it go on"
        finally:
            process.kill()


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
    with pytest.raises(MachineError, match="too long for a socket") as raised:
        ask(f"{short_dir}/{'x' * 100}/control.sock", "status")
    assert "--state" in raised.value.hints[0]


HOLD = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system does not tell whose a lock is")
def test_supervisor_that_is_stopped_while_it_starts_or_ends_is_not_waited_for(path: str) -> None:
    lock = str(Path(path).with_name("lock"))
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD, lock], stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            with pytest.raises(NotRunningError) as starting:
                ask(path, "status")
            assert starting.value.busy
            holder.send_signal(signal.SIGSTOP)
            wait_until(lambda: control_module.is_stopped(holder.pid), "it is stopped")
            with pytest.raises(UnresponsiveError, match=rf"\(pid {holder.pid}, stopped\)"):
                ask_settled(path, "status", seconds=DEADLINE_SECONDS)
        finally:
            holder.kill()
