"""What commands say to the supervisor of another lkhub, which goes on running after an update."""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from lkhub import __version__
from lkhub.plan.paths import StatePaths
from lkhub.wire.message import VERSION
from tests.cli.conftest import FakeSupervisor, Run

COMMANDS = [("status",), ("status", "--json"), ("restart",), ("up",), ("up", "--detach"), ("verify",)]


@pytest.mark.parametrize("other", [VERSION - 1, VERSION + 1])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_supervisor_that_speaks_another_version_is_named(
    run: Run, supervisor: FakeSupervisor, command: tuple[str, ...], other: int
) -> None:
    for answer in supervisor.answers.values():
        answer |= {"version": other, "lkhub": "0.0.9"}
    done = run(*command)
    assert (done.code, done.out) == (3, "")
    assert f"the running supervisor is lkhub 0.0.9, and this is lkhub {__version__}" in done.err
    assert "`lkhub down`, then `lkhub up`, starts the hub with this version" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("other", [VERSION - 1, VERSION + 1])
def test_down_ends_the_hub_of_any_version(run: Run, supervisor: FakeSupervisor, other: int) -> None:
    supervisor.answers["stop"] |= {"version": other, "lkhub": "0.0.9"}
    assert (run("down").code, len(supervisor.requests("stop"))) == (0, 1)


def test_refusal_of_another_version_is_named(run: Run, supervisor: FakeSupervisor) -> None:
    """It refuses what it does not know, in the words of its own version."""
    refusal = {"message": "not a request", "hints": [], "exit_code": 2}
    supervisor.answers["status"] = {"error": refusal, "version": VERSION + 1, "lkhub": "9.1.7"}
    done = run("status")
    assert done.code == 3
    assert "the running supervisor is lkhub 9.1.7" in done.err


def test_keys_that_another_lkhub_writes_otherwise_are_no_nonsense(run: Run, supervisor: FakeSupervisor) -> None:
    supervisor.answers["status"] |= {"pid": "seven", "lkhub": "9.1.7"}
    done = run("status")
    assert done.code == 3
    assert "the running supervisor is lkhub 9.1.7" in done.err
    assert "can't read its answer" in done.err


@pytest.fixture
def _no_http(applied: StatePaths) -> Iterator[None]:
    """A supervisor that speaks JSON lines alone."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(applied.control)
    listener.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                with listener.accept()[0] as connection:
                    connection.recv(4096)
                    connection.sendall(json.dumps({"error": {"message": "not JSON"}}).encode() + b"\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


@pytest.mark.usefixtures("_no_http")
@pytest.mark.parametrize("command", ["status", "down"])
def test_supervisor_that_takes_no_request_of_this_version_can_be_ended(run: Run, command: str) -> None:
    done = run(command)
    assert (done.code, done.out) == (3, "")
    assert "makes no sense" in done.err
    assert f"`kill {os.getpid()}` stops the hub" in done.err, "`lkhub down` would not"
