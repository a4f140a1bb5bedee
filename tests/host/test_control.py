import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from lkhub import __version__
from lkhub.errors import OTHER_USER, HubError, InputError, MachineError
from lkhub.host import control as control_module
from lkhub.host.control import BrokenOffError, NotRunningError, UnresponsiveError, ask, ask_settled
from lkhub.host.processes import read_state
from lkhub.plan.paths import StatePaths
from lkhub.supervise.control_server import Tell, serve_control
from lkhub.wire.control import (
    ApplyRequest,
    HubReport,
    ProcessReport,
    RestartRequest,
    StatusRequest,
    Stopped,
    StopRequest,
)
from lkhub.wire.exchange import Request
from lkhub.wire.message import VERSION
from tests.supervise.talking import Said, Work, echo, request, serving
from tests.waiting import DEADLINE_SECONDS, wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(short_dir: Path) -> str:
    return str(short_dir / "control.sock")


@contextmanager
def listening(path: str, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """A supervisor that accepts one connection, and does with it what `serve` does."""
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
        ask(path, ApplyRequest("x" * 1000, {}))


@pytest.mark.parametrize("then", ["answers", "is gone", "breaks off"])
def test_supervisor_that_was_just_killed_is_asked_until_it_is_known_whether_there_is_one(
    path: str, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """Its socket accepts connections until its last thread has ended. `lkhub status` and `down` tell what is left."""
    asked: list[str] = []
    monkeypatch.setattr(control_module, "BREAKING_OFF_SECONDS", 0.2)

    def ask_in_vain(*_: object, **__: object) -> str:
        asked.append(path)
        if len(asked) < 3 or then == "breaks off":
            raise BrokenOffError
        if then == "is gone":
            raise NotRunningError
        return "answer"

    monkeypatch.setattr(control_module, "ask", ask_in_vain)
    if then == "answers":
        assert ask_settled(path, StatusRequest(), seconds=DEADLINE_SECONDS) == "answer"  # type: ignore[comparison-overlap]
        return
    with pytest.raises(NotRunningError if then == "is gone" else BrokenOffError):
        ask_settled(path, StatusRequest(), seconds=DEADLINE_SECONDS)


def answering(body: bytes, head: bytes = b"HTTP/1.1 200 \r\n\r\n") -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(head + body)

    return serve


NONSENSE = (b"nonsense\n", b"[]\n", b"{}\n", b'{"pid": 1, "processes": 3}\n', b'{"pid": tr', b'{"error": {}}\n')


@pytest.mark.parametrize("answer", NONSENSE, ids=repr)
def test_supervisor_that_answers_nonsense_is_a_hub_error(path: str, answer: bytes) -> None:
    """The supervisor was killed in the middle of its answer, or is of another version."""
    with listening(path, answering(answer)), pytest.raises(HubError):
        ask(path, StatusRequest())


@pytest.mark.parametrize("answer", [b"nonsense\n", b"[]\n", b'{"pid": tr', b"<html>no</html>"], ids=repr)
def test_supervisor_that_answers_the_request_to_stop_with_nonsense_can_be_killed(path: str, answer: bytes) -> None:
    with listening(path, answering(answer)), pytest.raises(MachineError, match="makes no sense") as error:
        ask(path, StopRequest(drain=False))
    assert f"`kill {os.getpid()}` stops the hub" in error.value.hints[0], "`lkhub down` was typed"


def test_control_socket_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")
    control = StatePaths(str(tmp_path / "state")).control
    with pytest.raises(MachineError, match=f"can't connect to {control}: not a directory"):
        ask(control, StatusRequest())


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes a user who may not connect")
def test_hub_of_another_user_is_told_as_such(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        os.seteuid(65534)
        try:
            with pytest.raises(MachineError, match="belongs to root, and this is nobody") as refused:
                ask(path, StatusRequest())
        finally:
            os.seteuid(0)
    assert refused.value.hints[0] == OTHER_USER


@pytest.mark.parametrize("said", [b'{"ok": {}}\n', b"\xff\n"], ids=repr)
def test_answer_that_is_not_http_is_a_hub_error(path: str, said: bytes) -> None:
    with listening(path, answering(said, head=b"")), pytest.raises(MachineError, match="makes no sense"):
        ask(path, StatusRequest())


def test_answer_without_an_end_is_not_read_for_ever(path: str) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 \r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"x" * 1024 * 1024)

    with listening(path, serve), pytest.raises(MachineError, match="makes no sense"):
        ask(path, StatusRequest())


def test_answer_of_another_version_may_say_more_and_less(path: str) -> None:
    process = {"name": "media", "mood": "good", "pid": None, "state": "on holiday", "since": 1}
    said = {"new": [1], "version": VERSION, "lkhub": "9.1.7", "pid": 5, "processes": [process]}
    with listening(path, answering(json.dumps(said).encode() + b"\n")):
        report = ask(path, StatusRequest())
    assert report == HubReport(5, (ProcessReport("media", None, "on holiday", 1.0),))


@pytest.mark.parametrize("lacking", [{"pid": 5}, {"pid": 5, "processes": [{"name": "media"}]}], ids=["top", "below"])
@pytest.mark.parametrize("version", ["9.1.7", ""])
def test_missing_keys_of_an_answer_are_reported_with_both_versions(
    path: str, lacking: dict[str, Any], version: str
) -> None:
    said = {**lacking, **({"lkhub": version} if version else {})}
    shown = re.escape(version) or "of an earlier version"
    told = rf"supervisor \(lkhub {shown}\) does not tell '\w+', and this lkhub is {re.escape(__version__)}"
    with listening(path, answering(json.dumps(said).encode())), pytest.raises(MachineError, match=told) as raised:
        ask(path, StatusRequest())
    assert "`lkhub down`, then `lkhub up`" in raised.value.hints[0]


class Dance(Request[Said], frozen=True):
    path = "/dance"
    answer = Said


class OldEcho(Request[Said], frozen=True):
    """A request as another version of lkhub makes it. It lacks a key that this version needs."""

    path = "/stop"
    answer = Said


async def test_request_of_another_version_that_lacks_something_is_no_bug(path: str) -> None:
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_control, path, {StopRequest: echo}, tasks)
        asked = ((OldEcho(), "needs to be told 'drain'"), (Dance(), "can't do that: POST /dance"))
        for dance, said in asked:
            told = rf"supervisor \(lkhub {re.escape(__version__)}\) {said}"
            with pytest.raises(InputError, match=told) as raised:
                await request(path, dance)
            assert "`lkhub down`" in raised.value.hints[0]
        tasks.cancel_scope.cancel()


# --- a supervisor that does not answer


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_module, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(control_module, "PING_SECONDS", 0.2)


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("asked", [StatusRequest(), ApplyRequest(None, {}), RestartRequest(None), StopRequest(True)])
def test_supervisor_that_does_nothing_is_reported_for_each_request(path: str, asked: Request[Any]) -> None:
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(path)
        hung.listen()
        with pytest.raises(UnresponsiveError, match=rf"does not answer \(pid {os.getpid()}, \w+\)") as raised:
            ask(path, asked)
    assert raised.value.exit_code == 1
    assert f"`kill -9 {os.getpid()}`, then `lkhub up`" in raised.value.hints[0]


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("now", ["nothing", "a program of another user"])
def test_pid_of_a_program_that_has_ended_is_named_to_be_killed_by_no_hint(
    path: str, monkeypatch: pytest.MonkeyPatch, now: str
) -> None:
    """A program may begin to listen and end, while another one that it has started holds the socket."""
    if now != "nothing":
        monkeypatch.setattr(control_module, "_find_user", lambda _: os.geteuid() + 1)
    begin = "import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); os.fork()"
    stay = "; sys.stdin.read()" if now != "nothing" else " or sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", begin + stay, path], stdin=subprocess.PIPE) as child:
        if now == "nothing":
            child.wait(20)
        wait_until(lambda: control_module.is_served(path), "it listens")
        assert control_module.find_server(path) is None
        with pytest.raises(UnresponsiveError) as raised:
            ask(path, StatusRequest())
        assert "kill" not in f"{raised.value} {raised.value.hints}"


@pytest.mark.usefixtures("_short")
def test_supervisor_that_accepts_no_connection_does_not_answer(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as hung, contextlib.ExitStack() as others:
        hung.bind(path)
        hung.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:  # until its queue is full
                waiting = others.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(path)
        with pytest.raises(UnresponsiveError, match="does not answer"):
            ask(path, StatusRequest())


@pytest.mark.usefixtures("_short")
def test_supervisor_that_reads_nothing_does_not_answer(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(path)
        hung.listen()
        with pytest.raises(UnresponsiveError, match="does not answer"):
            ask(path, ApplyRequest(None, {"KEYS": "k" * 900_000}))


@pytest.mark.usefixtures("_short")
async def test_supervisor_that_works_for_long_is_waited_for(path: str) -> None:
    """The client waits much longer for such a supervisor than for a silent one."""

    async def slow(_: Work, __: Tell) -> Said:
        await anyio.sleep(4 * (control_module.SILENCE_SECONDS + control_module.PING_SECONDS))
        return Said("done")

    async with serving(path, slow):
        assert await request(path, Work()) == Said("done")


@pytest.mark.usefixtures("_short")
def test_supervisor_of_an_earlier_version_that_works_for_long_is_waited_for(path: str) -> None:
    """This supervisor knows no ping, and answers that it does not."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            first, _ = listener.accept()
            with first:
                for _number in range(5):
                    with listener.accept()[0] as asked:
                        asked.recv(4096)
                        asked.sendall(b'HTTP/1.0 404 \r\n\r\n{"error": {"message": "not a request"}}\n')
                first.sendall(b"HTTP/1.0 200 \r\n\r\n{}\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert ask(path, StopRequest(drain=True)) == Stopped()
        thread.join(10)


def test_supervisor_that_was_stopped_is_reported_within_seconds_with_a_remedy(path: str) -> None:
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
                ask(path, StatusRequest())
            assert time.monotonic() - before < control_module.SILENCE_SECONDS + control_module.PING_SECONDS
            assert raised.value.hints[0] == f"`kill -CONT {process.pid}` lets it go on"
        finally:
            process.kill()


def test_without_a_listening_process_the_hub_is_not_running(path: str) -> None:
    with pytest.raises(NotRunningError, match="not running") as raised:
        ask(path, StatusRequest())
    assert raised.value.exit_code == 1
    assert raised.value.hints == ("`lkhub up` starts it",)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with pytest.raises(NotRunningError):
        ask(path, StatusRequest())


def test_path_that_no_socket_can_have_is_refused(short_dir: Path) -> None:
    with pytest.raises(MachineError, match="too long for a socket") as raised:
        ask(f"{short_dir}/{'x' * 100}/control.sock", StatusRequest())
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
                ask(path, StatusRequest())
            assert starting.value.busy
            holder.send_signal(signal.SIGSTOP)
            wait_until(lambda: control_module.is_stopped(holder.pid), "it is stopped")
            with pytest.raises(UnresponsiveError, match=rf"\(pid {holder.pid}, stopped\)"):
                ask_settled(path, StatusRequest(), seconds=DEADLINE_SECONDS)
        finally:
            holder.kill()
