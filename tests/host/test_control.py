import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from lkhub import __version__
from lkhub.errors import HubError, InputError, MachineError
from lkhub.host import control as control_module
from lkhub.host.control import NotRunningError, UnresponsiveError, ask, ask_settled
from lkhub.host.processes import read_state
from lkhub.supervise.control_server import Tell
from tests.supervise.talking import request, serving
from tests.waiting import DEADLINE_SECONDS, wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(short_dir: Path) -> str:
    return str(short_dir / "control.sock")


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
